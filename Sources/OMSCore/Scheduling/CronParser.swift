import OMSModel

/// What is wrong with a cron expression: the field, and the remedy.
package struct CronError: Error, Hashable, Sendable {
    package var text: String
}

extension CronExpression {
    /// - Parameters:
    ///   - text: minute, hour, day of month, month, day of week; docs/operate/schedules.md has the grammar.
    ///   - seed: what `H` is a hash of: the same seed gives the same times, for ever.
    package init(_ text: String, seed: String) throws(CronError) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        guard parts.count == 5 else {
            let hint = text.hasPrefix("@") ? "; instead of \(text) write for example 'H H * * *' (once a day)" : ""
            throw CronError(
                text: "has \(parts.count) field(s), not the 5 of 'minute hour day-of-month month day-of-week'" + hint)
        }
        let minute = try CronField.minute.read(parts[0], seed)
        let hour = try CronField.hour.read(parts[1], seed)
        let day = try CronField.day.read(parts[2], seed)
        let month = try CronField.month.read(parts[3], seed)
        let weekday = try CronField.weekday.read(parts[4], seed)
        self.init(
            minutes: minute, hours: hour, days: day, months: month, weekdays: (weekday | weekday >> 7) & 0x7F,
            anyDay: parts[2] == "*", anyWeekday: parts[4] == "*",
            isEveryHour: Self.isWild(parts[1]), isInterval: Self.isWild(parts[0]) || Self.isWild(parts[1]))
        // A day that none of the months has: found by looking, from a year after which a leap year comes.
        if next(from: CivilDate(year: 2023, month: 1, day: 1).days * 86_400) == nil {
            throw CronError(
                text: "field day-of-month: '\(parts[2])' does not come in month '\(parts[3])', so it would never run")
        }
    }
}

extension CronExpression {
    private static func isWild(_ field: String) -> Bool { field.hasPrefix("*") || field.hasPrefix("H/") }
}

/// One of the five fields and its numbers.
private struct CronField {
    let name: String
    let range: ClosedRange<Int>
    /// What `H` alone chooses from: every month has 28 days, and 7 is Sunday again.
    let hashed: ClosedRange<Int>
    var names: [String] = []

    static let minute = CronField(name: "minute", range: 0...59, hashed: 0...59)
    static let hour = CronField(name: "hour", range: 0...23, hashed: 0...23)
    static let day = CronField(name: "day-of-month", range: 1...31, hashed: 1...28)
    static let month = CronField(
        name: "month", range: 1...12, hashed: 1...12,
        names: ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
    static let weekday = CronField(
        name: "day-of-week", range: 0...7, hashed: 0...6, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"])

    func read(_ text: String, _ seed: String) throws(CronError) -> UInt64 {
        var set: UInt64 = 0
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            set |= try read(item: String(item), seed)
        }
        return set
    }

    private func read(item: String, _ seed: String) throws(CronError) -> UInt64 {
        let parts = item.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, let base = parts.first, !base.isEmpty else {
            throw fail("'\(item)' is no item; write *, a number, a range a-b, or one of these with /step")
        }
        var step: Int?
        if parts.count == 2 {
            guard let number = Int(parts[1]), number >= 1, number <= range.count else {
                throw fail("the step of '\(item)' must be a number from 1 to \(range.count)")
            }
            step = number
        }
        if base.hasPrefix("H") { return try hash(base, step, seed) }
        if base == "*" {
            // 7 is Sunday again: a step must not begin a second week with it.
            return members(range.lowerBound...min(range.upperBound, hashed.upperBound == 6 ? 6 : .max), step ?? 1)
        }
        guard base.contains("-") else {
            let number = try value(base)
            if step != nil {
                throw fail(
                    "'\(item)' is ambiguous; write \(number)-\(hashed.upperBound == 6 ? 6 : range.upperBound)/\(parts[1])"
                )
            }
            return members(number...number, 1)
        }
        return members(try bounds(base), step ?? 1)
    }

    /// `H`, `H(a-b)`, both with `/step`: a fixed member, or every step-th from a fixed one.
    private func hash(_ base: String, _ step: Int?, _ seed: String) throws(CronError) -> UInt64 {
        var bounds = hashed
        if base != "H" {
            guard base.hasPrefix("H("), base.hasSuffix(")") else {
                throw fail("'\(base)' is no hash; write H, H(a-b), H/step or H(a-b)/step")
            }
            bounds = try self.bounds(String(base.dropFirst(2).dropLast()))
            if name == "day-of-month", bounds.upperBound > 28 {
                throw fail("'\(base)' may choose a day that some months do not have; end the range at 28")
            }
        }
        if let step, step > bounds.count {
            throw fail("the step of '\(base)/\(step)' is longer than its range of \(bounds.count)")
        }
        let choices = step ?? bounds.count
        let chosen = bounds.lowerBound + Int(spread(of: "\(name)/\(seed)") % UInt64(choices))
        return step.map { members(chosen...bounds.upperBound, $0) } ?? members(chosen...chosen, 1)
    }

    private func bounds(_ text: String) throws(CronError) -> ClosedRange<Int> {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard ends.count == 2 else { throw fail("'\(text)' is no range; write a-b") }
        let (low, high) = (try value(ends[0]), try value(ends[1]))
        guard low <= high else {
            throw fail(
                "the range '\(text)' runs backwards; write \(ends[0])-\(range.upperBound),\(range.lowerBound)-\(ends[1])"
            )
        }
        return low...high
    }

    private func value(_ text: String) throws(CronError) -> Int {
        if let index = names.firstIndex(of: text.lowercased()), !text.isEmpty { return index }
        guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(text) else {
            let known = names.isEmpty ? "" : " or one of \(names.filter { !$0.isEmpty }.joined(separator: ", "))"
            throw fail("'\(text)' is not a number\(known)")
        }
        guard range.contains(number) else {
            throw fail("\(number) is not from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private func members(_ bounds: ClosedRange<Int>, _ step: Int) -> UInt64 {
        stride(from: bounds.lowerBound, through: bounds.upperBound, by: step).reduce(0) { $0 | 1 << UInt64($1) }
    }

    private func fail(_ what: String) -> CronError { CronError(text: "field \(name): \(what)") }
}

/// A well-mixed number of a text: equal for ever, near texts far apart.
func spread(of text: String) -> UInt64 {
    let hash = fnv1a128(text.utf8)
    var mixer = SplitMix64(seed: UInt64(truncatingIfNeeded: hash) ^ UInt64(truncatingIfNeeded: hash >> 64))
    return mixer.next()
}
