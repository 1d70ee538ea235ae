import OMSModel

/// Reads one service of a scenario.
enum ServiceReader {
    static func service(_ value: JSONValue, at pointer: String, _ errors: FieldErrors) -> ServiceSpec? {
        guard var reader = FieldReader(value, at: pointer, errors) else { return nil }
        let type: ServiceType? = reader.name("type", required: true)
        let frequency = reader.child("frequency").flatMap(ScheduleReader.frequency)
        let after: [ServiceID]? = reader.names("after")
        switch (frequency == nil, after?.isEmpty ?? true) {
        case (true, true): reader.fail(nil, "needs 'frequency' (when it runs) or 'after' (what it waits for)")
        case (false, false): reader.fail("after", "excludes 'frequency'; keep one of them")
        default: break
        }
        let parameters = reader.value("parameters")
        if let parameters, parameters.objectValue == nil { reader.fail("parameters", "must be a mapping") }
        var spec = ServiceSpec(
            type: type ?? "unknown", frequency: frequency, after: after,
            timeoutSeconds: reader.int("timeout_s", in: 1...604_800),
            dataSource: reader.child("data_source").map(location),
            outputSource: reader.child("output_source").map(location), parameters: parameters,
            providers: reader.child("providers").map(PolicyReader.policy),
            merge: reader.child("merge").map(MergeReader.merge),
            maxAttempts: reader.int("max_attempts", in: 1...20),
            deadlineSeconds: reader.int("deadline_s", in: 1...2_592_000),
            onReplace: reader.choice("on_replace", ReplaceAction.self), suspended: reader.bool("suspended"))
        ScheduleReader.overlap(&reader, &spec)
        PolicyReader.patience(&reader, &spec)
        reader.finish()
        PolicyReader.checkMerge(spec, reader)
        return spec
    }

    private static func location(_ source: FieldReader) -> DataLocation {
        var reader = source
        let value = DataLocation(
            uri: reader.string("uri", required: true) ?? "", type: reader.string("type"),
            credential: reader.string("credential"))
        reader.finish()
        return value
    }

    /// Every `after` names a service of the scenario, and there is no circle.
    static func checkDependencies(
        _ services: [ServiceID: ServiceSpec], at pointer: String, _ errors: FieldErrors
    ) {
        for id in services.keys.sorted() {
            for (index, upstream) in (services[id]?.after ?? []).enumerated() where services[upstream] == nil {
                errors.add(
                    "\(pointer)/\(id)/after/\(index)",
                    "no service '\(upstream)' in this scenario; it has \(services.keys.sorted().map(\.text).joined(separator: ", "))"
                )
            }
        }
        var settled: Set<ServiceID> = []
        while true {
            let ready = services.keys.filter { id in
                !settled.contains(id)
                    && (services[id]?.after ?? []).allSatisfy { settled.contains($0) || services[$0] == nil }
            }
            if ready.isEmpty { break }
            settled.formUnion(ready)
        }
        if let stuck = services.keys.filter({ !settled.contains($0) }).min() {
            errors.add("\(pointer)/\(stuck)/after", "the services wait for each other in a circle")
        }
    }
}
