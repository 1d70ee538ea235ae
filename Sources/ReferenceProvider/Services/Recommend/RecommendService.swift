import OMSModel

/// Ranks items for a user segment from harvested logs.
struct RecommendService: Service {
    /// What jobs get that name no method.
    var defaultMethod = RankingMethod.empiricalBayes

    struct Parameters: Hashable {
        var table: String
        var sources: [String]
        var segment: [String: String]
        var top: Int
        var method: RankingMethod
        var pace: Pace

        init(_ reader: inout ParameterReader, defaultMethod: RankingMethod) {
            table = reader.requiredString("table", .identifier)
            if let sources = reader.strings("sources", atMost: 32, .label) {
                self.sources = sources
            } else {
                sources = []
                if !reader.errors.contains(where: { $0.pointer.contains("/sources") }) {
                    reader.refuse(
                        "sources", "is required: the labels of the harvests to learn from, for example [\"random\"]")
                }
            }
            segment = reader.dictionary("segment", atMost: 16, keys: .label, values: .label)
            top = reader.integer("top", default: 10, in: 1...200)
            let rule = TextRule.oneOf(RankingMethod.allCases.map(\.rawValue))
            method = RankingMethod(rawValue: reader.string("method", default: "", rule)) ?? defaultMethod
            pace = Pace(&reader)
            reader.finish()
        }
    }

    var description: ServiceDescription {
        ServiceDescription(
            id: "recommend", type: "recommend", version: "1.0.0", name: "Recommendations",
            description: "Ranks items by their click rate in harvested logs, with estimates that hold at small counts.",
            tags: ["ranking", defaultMethod.rawValue], available: true, idempotency: .clientKey, cancel: .cooperative,
            stoppable: true, safeToRunTwice: true, dataSchemes: ["sqlite"],
            limits: ServiceLimits(minIntervalSeconds: 1, maxTimeoutSeconds: 86_400),
            defaults: ServiceConfig(
                frequency: Frequency(everySeconds: 3600), timeoutSeconds: 600,
                parameters: ["top": 10, "method": .string(defaultMethod.rawValue)]),
            parametersSchema: Schema.object(
                [
                    "table": Schema.text(
                        .identifier, "A table with the columns source, item_id, click, propensity_score."),
                    "sources": Schema.list(.label, 32, "The labels of the harvests to learn from."),
                    "segment": [
                        "type": "object", "maxProperties": 16, "additionalProperties": TextRule.label.schema,
                        "description": "Column to value: only impressions of these users count.",
                    ],
                    "top": ["type": "integer", "minimum": 1, "maximum": 200, "default": 10],
                    "method": Schema.text(
                        .oneOf(RankingMethod.allCases.map(\.rawValue)), "How items are scored.",
                        default: defaultMethod.rawValue),
                    "pace_ms": Pace.schema,
                ], required: ["table", "sources"]),
            inputSchema: Schema.nothing,
            outputSchema: Schema.outputs([
                "ranking": [
                    "type": "array",
                    "items": [
                        "type": "object", "required": ["item", "score", "impressions", "clicks"],
                        "properties": [
                            "item": ["type": "string"], "score": Schema.number("Higher is better."),
                            "impressions": Schema.count("How often it was shown."), "clicks": Schema.count("Of these."),
                        ],
                    ],
                ],
                "method": ["type": "string"], "segment": ["type": "object"],
                "impressions": Schema.count("All impressions that counted."), "clicks": Schema.count("Of these."),
            ]))
    }

    func check(_ config: ServiceConfig, _ reader: inout ConfigReader) {
        reader.location(config.dataSource, "data_source", schemes: ["sqlite"], example: "sqlite:///men.db")
        reader.noOutput(config.outputSource)
        var parameters = ParameterReader(config.parameters)
        _ = Parameters(&parameters, defaultMethod: defaultMethod)
        for error in parameters.errors { reader.refuse(error.pointer, error.detail) }
    }

    func run(_ job: JobContext) throws -> JobResult {
        var reader = ParameterReader(job.config.parameters)
        let parameters = Parameters(&reader, defaultMethod: defaultMethod)
        var statistics = ItemStatistics()
        try LogReader(job, table: parameters.table).read(
            job, sources: parameters.sources, segment: parameters.segment,
            withPropensity: parameters.method == .snips, pace: parameters.pace
        ) { statistics.add($0) }
        if statistics.items.isEmpty {
            throw Problem(
                .inputUnavailable,
                "no impressions of \(parameters.sources.joined(separator: ", ")) match the segment; "
                    + "harvest these sources first, or widen the segment", retryable: true)
        }
        let ranking = statistics.ranking(by: parameters.method).prefix(parameters.top)
        return JobResult(
            outputs: [
                "ranking": [
                    "value": .array(
                        ranking.map { entry in
                            [
                                "item": .string(entry.item), "score": .double(entry.score),
                                "impressions": .int(Int64(entry.impressions)), "clicks": .int(Int64(entry.clicks)),
                            ]
                        })
                ],
                "method": ["value": .string(parameters.method.rawValue)],
                "segment": ["value": .object(JSONObject(parameters.segment.mapValues { .string($0) }))],
                "impressions": .output(statistics.impressions), "clicks": .output(statistics.clicks),
            ],
            message: "\(statistics.items.count) items ranked by \(parameters.method.rawValue)")
    }
}
