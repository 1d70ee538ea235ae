import OMSModel

/// Reads which providers a service uses, and how long it waits for them.
enum PolicyReader {
    static func policy(_ source: FieldReader) -> ProviderPolicy {
        var reader = source
        let use = reader.choice("use", ProviderPolicy.Use.self) ?? .one
        var value = ProviderPolicy(
            use: use, only: reader.names("only"), atLeast: reader.int("at_least", in: 1...100),
            count: reader.int("count", in: 1...100))
        value.weights = weights(&reader)
        reader.finish()
        if value.atLeast != nil, !use.asksSeveral {
            reader.fail("at_least", "belongs to use 'all', 'first-wins' and 'quorum'")
        }
        if (value.count != nil) != (use == .quorum) {
            reader.fail(
                "count", use == .quorum ? "is missing: how many results are needed" : "belongs to use 'quorum'")
        }
        if value.weights != nil, use != .weighted { reader.fail("weights", "belongs to use 'weighted'") }
        guard let only = value.only else { return value }
        if only.isEmpty { reader.fail("only", "must name at least one provider; leave it out to allow all") }
        if Set(only).count < only.count { reader.fail("only", "names a provider twice") }
        for (name, needed) in [("at_least", value.atLeast), ("count", value.count)] {
            if let needed, needed > only.count {
                reader.fail(name, "is more than the \(only.count) providers in 'only'")
            }
        }
        for provider in value.weights?.keys.sorted() ?? [] where !only.contains(provider) {
            reader.fail("weights/\(provider)", "is not among the providers in 'only'")
        }
        return value
    }

    private static func weights(_ reader: inout FieldReader) -> [ProviderID: Double]? {
        guard let members = reader.children("weights") else { return nil }
        var weights: [ProviderID: Double] = [:]
        for (key, value, pointer) in members {
            guard let weight = value.doubleValue, weight > 0, weight <= 1e6 else {
                reader.fail("weights/\(key)", "must be a number above 0, at most 1000000")
                continue
            }
            if let provider: ProviderID = reader.check(key, at: pointer) { weights[provider] = weight }
        }
        return weights
    }

    /// Timeouts and retries.
    static func patience(_ reader: inout FieldReader, _ spec: inout ServiceSpec) {
        spec.safeToRunTwice = reader.bool("safe_to_run_twice")
        spec.maxProviderFaults = reader.int("max_provider_faults", in: 0...1_000)
        guard var timeouts = reader.child("timeouts") else { return }
        let rule = TimeoutRule(
            queueSeconds: timeouts.int("queue_s", in: 1...604_800),
            startSeconds: timeouts.int("start_s", in: 1...604_800),
            noProgressSeconds: timeouts.int("no_progress_s", in: 1...604_800))
        timeouts.finish()
        if let quiet = rule.noProgressSeconds, let timeout = spec.timeoutSeconds, quiet >= timeout {
            timeouts.fail("no_progress_s", "must be less than timeout_s (\(timeout)), which ends the job anyway")
        }
        spec.timeouts = rule
    }

    static func checkMerge(_ spec: ServiceSpec, _ reader: FieldReader) {
        let use = spec.providers?.use ?? .one
        let isFirst = spec.merge == nil || spec.merge?.strategy == .first
        if isFirst, use == .all || use == .quorum && (spec.providers?.count ?? 1) > 1 {
            reader.fail("merge", "is needed with providers.use '\(use.rawValue)': say how their results become one")
        }
        guard let deliver = spec.merge?.deliverAfterSeconds else { return }
        if use != .all {
            reader.fail("merge/deliver_after_s", "belongs to providers.use 'all': the others wait for what they need")
        }
        if let deadline = spec.deadlineSeconds, deliver >= deadline {
            reader.fail("merge/deliver_after_s", "must be less than deadline_s (\(deadline)), when the run ends")
        }
    }
}
