import Foundation
import OMSModel

/// Compares two policies of an A/B test from harvested logs.
struct OptimiseService: Service {
    struct Parameters: Hashable {
        var table: String
        var control: String
        var treatment: String
        var alpha: Double
        var pace: Pace

        init(_ reader: inout ParameterReader) {
            table = reader.requiredString("table", .identifier)
            control = reader.requiredString("control", .label)
            treatment = reader.requiredString("treatment", .label)
            alpha = reader.number("alpha", default: 0.05, between: 0, and: 0.5)
            pace = Pace(&reader)
            if !control.isEmpty, control == treatment {
                reader.refuse("treatment", "is the same source as control; name two different ones")
            }
            reader.finish()
        }
    }

    enum Verdict: String, CaseIterable {
        case treatmentBetter = "treatment-better"
        case controlBetter = "control-better"
        case noDifferenceShown = "no-difference-shown"
    }

    var description: ServiceDescription {
        let arm: JSONValue = [
            "type": "object", "required": ["source", "n", "clicks", "rate", "interval"],
            "properties": [
                "source": ["type": "string"], "n": Schema.count("Impressions."), "clicks": Schema.count("Of these."),
                "rate": Schema.number("clicks / n."), "interval": Self.intervalSchema("Wilson interval of the rate."),
            ],
        ]
        return ServiceDescription(
            id: "optimise", type: "optimise", version: "1.0.0", name: "A/B trial",
            description:
                "Compares the click rates of two policies: pooled two-proportion z-test and Newcombe's interval.",
            tags: ["a-b-test"], available: true, idempotency: .clientKey, cancel: .cooperative,
            stoppable: true, safeToRunTwice: true, dataSchemes: ["sqlite"],
            limits: ServiceLimits(minIntervalSeconds: 1, maxTimeoutSeconds: 86_400),
            defaults: ServiceConfig(
                frequency: Frequency(everySeconds: 3600), timeoutSeconds: 600, parameters: ["alpha": 0.05]),
            parametersSchema: Schema.object(
                [
                    "table": Schema.text(.identifier, "A table with the columns source, item_id, click."),
                    "control": Schema.text(.label, "The label of the harvest with the control arm."),
                    "treatment": Schema.text(.label, "The label of the harvest with the treatment arm."),
                    "alpha": [
                        "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5, "default": 0.05,
                        "description": "A p-value below it shows a difference; intervals cover 1 - alpha.",
                    ],
                    "pace_ms": Pace.schema,
                ], required: ["table", "control", "treatment"]),
            inputSchema: Schema.nothing,
            outputSchema: Schema.outputs([
                "control": arm, "treatment": arm, "difference": Schema.number("Treatment's rate minus control's."),
                "difference_interval": Self.intervalSchema("Newcombe's hybrid score interval of the difference."),
                "z": ["type": ["number", "null"], "description": "Pooled z statistic; null when nothing varies."],
                "p_value": Schema.number("Two-sided."), "alpha": Schema.number("As asked."),
                "confidence": Schema.number("Of all intervals: 1 - alpha."),
                "verdict": Schema.text(.oneOf(Verdict.allCases.map(\.rawValue)), "What the test shows at alpha."),
                "text": ["type": "string"],
            ]))
    }

    func check(_ config: ServiceConfig, _ reader: inout ConfigReader) {
        reader.location(config.dataSource, "data_source", schemes: ["sqlite"], example: "sqlite:///men.db")
        reader.noOutput(config.outputSource)
        var parameters = ParameterReader(config.parameters)
        _ = Parameters(&parameters)
        for error in parameters.errors { reader.refuse(error.pointer, error.detail) }
    }

    func run(_ job: JobContext) throws -> JobResult {
        var reader = ParameterReader(job.config.parameters)
        let parameters = Parameters(&reader)
        var control = Proportion(trials: 0, successes: 0)
        var treatment = control
        try LogReader(job, table: parameters.table).read(
            job, sources: [parameters.control, parameters.treatment], segment: [:], withPropensity: false,
            pace: parameters.pace
        ) { impression in
            if impression.source == parameters.control {
                control.trials += 1
                control.successes += impression.click ? 1 : 0
            } else {
                treatment.trials += 1
                treatment.successes += impression.click ? 1 : 0
            }
        }
        for (label, arm) in [(parameters.control, control), (parameters.treatment, treatment)] where arm.trials == 0 {
            throw Problem(
                .inputUnavailable, "there are no impressions of '\(label)'; harvest that source first", retryable: true)
        }
        return Self.result(ProportionComparison(control: control, treatment: treatment), parameters)
    }

    static func result(_ comparison: ProportionComparison, _ parameters: Parameters) -> JobResult {
        let z = Normal.quantile(1 - parameters.alpha / 2)
        let p = comparison.pValue
        let verdict: Verdict =
            p >= parameters.alpha ? .noDifferenceShown : comparison.difference > 0 ? .treatmentBetter : .controlBetter
        let words =
            switch verdict {
            case .treatmentBetter: "'\(parameters.treatment)' is better than '\(parameters.control)'"
            case .controlBetter: "'\(parameters.control)' is better than '\(parameters.treatment)'"
            case .noDifferenceShown:
                "no difference between '\(parameters.control)' and '\(parameters.treatment)' is shown"
            }
        let text =
            "\(words): \(percent(comparison.control.rate)) against \(percent(comparison.treatment.rate)), "
            + "two-sided p = \(String(format: "%.4f", p)) at alpha = \(parameters.alpha)"
        func arm(_ label: String, _ arm: Proportion) -> JSONValue {
            let members: JSONValue = [
                "source": .string(label), "n": .int(Int64(arm.trials)), "clicks": .int(Int64(arm.successes)),
                "rate": .double(arm.rate), "interval": interval(arm.wilson(z: z)),
            ]
            return ["value": members]
        }
        return JobResult(
            outputs: [
                "control": arm(parameters.control, comparison.control),
                "treatment": arm(parameters.treatment, comparison.treatment),
                "difference": ["value": .double(comparison.difference)],
                "difference_interval": ["value": interval(comparison.newcombe(z: z))],
                "z": ["value": comparison.z.map { .double($0) } ?? .null], "p_value": ["value": .double(p)],
                "alpha": ["value": .double(parameters.alpha)], "confidence": ["value": .double(1 - parameters.alpha)],
                "verdict": ["value": .string(verdict.rawValue)], "text": ["value": .string(text)],
            ], message: text)
    }

    private static func percent(_ rate: Double) -> String { String(format: "%.2f %%", rate * 100) }

    private static func interval(_ range: ClosedRange<Double>) -> JSONValue {
        [.double(range.lowerBound), .double(range.upperBound)]
    }

    private static func intervalSchema(_ words: String) -> JSONValue {
        ["type": "array", "items": ["type": "number"], "minItems": 2, "maxItems": 2, "description": .string(words)]
    }
}
