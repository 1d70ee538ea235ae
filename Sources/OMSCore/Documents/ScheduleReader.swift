import OMSModel

/// Reads when a service runs.
enum ScheduleReader {
    static func frequency(_ source: FieldReader) -> Frequency {
        var reader = source
        let value = Frequency(
            once: reader.bool("once"), everySeconds: reader.int("every_s", in: 1...31_536_000),
            jitterSeconds: reader.int("jitter_s", in: 0...86_400), spread: reader.bool("spread"),
            cron: reader.string("cron"), timeZone: reader.string("time_zone"), onDemand: reader.bool("on_demand"))
        reader.finish()
        let given = [value.once == true, value.everySeconds != nil, value.cron != nil, value.onDemand == true]
        if given.filter({ $0 }).count != 1 {
            reader.fail(nil, "needs exactly one of 'every_s', 'cron', 'once: true' and 'on_demand: true'")
        }
        if let jitter = value.jitterSeconds, let every = value.everySeconds, jitter >= every {
            reader.fail("jitter_s", "must be less than every_s (\(every))")
        }
        if value.spread != nil, value.everySeconds == nil {
            reader.fail("spread", "belongs to every_s; in a cron expression write H for a number of the tenant's own")
        }
        if value.spread == true, value.jitterSeconds != nil {
            reader.fail("spread", "excludes 'jitter_s': both place the ticks; keep one of them")
        }
        if value.timeZone != nil, value.cron == nil {
            reader.fail("time_zone", "belongs to 'cron'; the other schedules know no local time")
        }
        guard let cron = value.cron else { return value }
        do throws(CronError) {
            _ = try CronExpression(cron, seed: "")
        } catch {
            reader.fail("cron", error.text)
        }
        if let fault = value.timeZone.flatMap(ZoneName.fault) { reader.fail("time_zone", fault) }
        return value
    }

    /// What happens to ticks that cannot be fired at once.
    static func overlap(_ reader: inout FieldReader, _ spec: inout ServiceSpec) {
        spec.overlap = reader.choice("overlap", OverlapPolicy.self)
        spec.queueLimit = reader.int("queue_limit", in: 1...1_000)
        spec.catchUpSeconds = reader.int("catch_up_s", in: 1...31_536_000)
        if spec.queueLimit != nil, spec.overlap != .queueAll {
            reader.fail("queue_limit", "belongs to overlap 'queue-all'")
        }
        guard spec.after?.isEmpty == false else { return }
        if spec.overlap != nil { reader.fail("overlap", "belongs to 'frequency'; with 'after' runs never overlap") }
        if spec.catchUpSeconds != nil { reader.fail("catch_up_s", "belongs to 'frequency'; 'after' misses nothing") }
    }
}
