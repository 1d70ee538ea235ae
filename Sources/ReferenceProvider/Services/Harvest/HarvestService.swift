import OMSModel

/// Imports a file into a store.
struct HarvestService: Service {
    static let sourceSchemes = ["file", "http", "https"]

    struct Parameters: Hashable {
        var table: String
        var source: String
        var columns: [String]?
        var key: [String]?
        var pace: Pace

        init(_ reader: inout ParameterReader) {
            table = reader.requiredString("table", .identifier)
            source = reader.string("source", default: "default", .label)
            columns = reader.strings("columns", atMost: RecordReader.maximumColumns, .label)
            key = reader.strings("key", atMost: 16, .label)
            pace = Pace(&reader)
            if let columns, let stray = key?.first(where: { !columns.contains($0) }) {
                reader.refuse("key", "names '\(stray)', which 'columns' leaves out")
            }
            if table.hasPrefix("sqlite_") { reader.refuse("table", "must not begin with 'sqlite_', SQLite keeps that") }
            reader.finish()
        }
    }

    var description: ServiceDescription {
        ServiceDescription(
            id: "harvest", type: "harvest", version: "1.0.0", name: "Data harvest",
            description:
                "Imports CSV or JSON, plain or gzip, into a table of an SQLite store. Harvesting again replaces "
                + "the rows of the same source in one step and duplicates nothing.",
            tags: ["csv", "json", "gzip", "sqlite"], available: true, idempotency: .clientKey, cancel: .cooperative,
            stoppable: true, safeToRunTwice: true,
            dataSchemes: Self.sourceSchemes + ["sqlite"],
            limits: ServiceLimits(minIntervalSeconds: 1, maxTimeoutSeconds: 86_400),
            defaults: ServiceConfig(frequency: Frequency(everySeconds: 3600), timeoutSeconds: 900),
            parametersSchema: Schema.object(
                [
                    "table": Schema.text(.identifier, "The table to import into; made when it is missing."),
                    "source": Schema.text(
                        .label,
                        "Label of these rows, stored in column 'source'. A harvest replaces the rows of its label.",
                        default: "default"),
                    "columns": Schema.list(
                        .label, RecordReader.maximumColumns, "The columns to keep; all when absent."),
                    "key": Schema.list(.label, 16, "Columns that identify a row; when absent the whole row does."),
                    "pace_ms": Pace.schema,
                ], required: ["table"]),
            inputSchema: Schema.nothing,
            outputSchema: Schema.outputs([
                "rows": Schema.count("Rows in the input."),
                "inserted": Schema.count("Rows that are new in the store."),
                "updated": Schema.count("Rows whose key was there with other values."),
                "unchanged": Schema.count("Rows that were there already."),
                "removed": Schema.count("Rows of this source that the input has no longer."),
                "bytes": Schema.count("Size of the input as it is stored."),
                "sha256": ["type": "string", "description": "SHA-256 of the input as it is stored."],
                "table": ["type": "string"], "source": ["type": "string"],
            ]))
    }

    func check(_ config: ServiceConfig, _ reader: inout ConfigReader) {
        reader.location(
            config.dataSource, "data_source", schemes: Self.sourceSchemes, example: "file:///men-bts.csv.gz")
        reader.location(config.outputSource, "output_source", schemes: ["sqlite"], example: "sqlite:///men.db")
        if let source = config.dataSource, InputFormat(of: source) == nil {
            reader.refuse(
                "/config/data_source/type",
                "the format is not known from the type or the name; set type to text/csv, application/json or "
                    + "application/x-ndjson")
        }
        var parameters = ParameterReader(config.parameters)
        _ = Parameters(&parameters)
        for error in parameters.errors { reader.refuse(error.pointer, error.detail) }
    }

    private static func open(_ uri: String, _ job: JobContext) throws -> ByteSource {
        if DataURI.isHTTP(uri) {
            return ByteSource(downloaded: try job.downloads.fetch(uri, job.control), uri: uri)
        }
        return try ByteSource(path: try job.roots.input(uri), uri: uri)
    }

    func run(_ job: JobContext) throws -> JobResult {
        var reader = ParameterReader(job.config.parameters)
        let parameters = Parameters(&reader)
        guard let source = job.config.dataSource, let target = job.config.outputSource,
            let format = InputFormat(of: source)
        else { throw Problem(.invalidConfig, "data_source and output_source are required") }
        let input = try Self.open(source.uri, job)
        let store = try HarvestStore(
            path: try job.roots.storeToWrite(target.uri), uri: target.uri, table: parameters.table, key: parameters.key,
            control: job.control)
        var records = RecordReader(format: format, columns: parameters.columns, uri: source.uri)
        var rows = 0
        func take(columns: [String], values: [String?]) throws {
            rows += 1
            try store.add(values, of: columns, number: rows)
            if rows % Pace.rows == 0 {
                try job.control.pause(milliseconds: parameters.pace.milliseconds)
                try job.report(input.fraction * 0.95, "\(rows) rows read")
            }
        }
        while let chunk = try input.next() {
            try job.control.check()
            try records.feed(chunk, take)
        }
        try records.finish(take)
        if rows == 0 { try store.prepareEmpty(columns: records.columns) }
        try job.report(0.95, "\(rows) rows read, storing them")
        let outcome = try store.replace(source: parameters.source)
        return JobResult(
            outputs: [
                "rows": .output(rows), "inserted": .output(outcome.inserted), "updated": .output(outcome.updated),
                "unchanged": .output(outcome.unchanged), "removed": .output(outcome.removed),
                "bytes": .output(Int(input.bytesRead)), "sha256": ["value": .string(input.sha256())],
                "table": ["value": .string(parameters.table)], "source": ["value": .string(parameters.source)],
            ],
            message:
                "\(rows) rows: \(outcome.inserted) new, \(outcome.updated) changed, \(outcome.unchanged) as before, "
                + "\(outcome.removed) removed")
    }
}

extension JSONValue {
    /// The form of one output of a job.
    static func output(_ number: Int) -> JSONValue { ["value": .int(Int64(number))] }
}
