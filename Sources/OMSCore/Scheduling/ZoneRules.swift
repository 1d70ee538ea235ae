/// A time zone as a plain value: a table of the moments at which its offset from UTC changes. The core computes on
/// this table only; where it comes from is in `ZoneDatabase.swift`.
package struct ZoneRules: Hashable, Sendable {
    package struct Transition: Hashable, Sendable {
        /// Seconds since 1970-01-01T00:00:00Z at which `offset` begins to hold.
        package var at: Int64
        /// Local time minus UTC, in seconds.
        package var offset: Int64

        package init(at: Int64, offset: Int64) {
            self.at = at
            self.offset = offset
        }
    }

    /// A stretch of time with one offset.
    struct Period: Hashable, Sendable {
        var index: Int
        /// `Int64.min` in the first one.
        var start: Int64
        /// Not part of it; `Int64.max` in the last one.
        var end: Int64
        var offset: Int64
        /// How far the clock was set on at `start` (DST begins: 3600), or back (-3600); 0 in the first one.
        var shift: Int64
    }

    /// IANA name, for example `Europe/Berlin`.
    package let name: String
    private let initialOffset: Int64
    private let transitions: [Transition]

    /// - Parameters:
    ///   - initialOffset: holds before the first transition.
    ///   - transitions: in the order of time, each with another offset than the one before.
    package init(name: String, initialOffset: Int64, transitions: [Transition]) {
        self.name = name
        self.initialOffset = initialOffset
        self.transitions = transitions
    }

    package static let utc = ZoneRules(name: "UTC", initialOffset: 0, transitions: [])

    /// Local time minus UTC at a moment, in seconds.
    package func offset(at seconds: Int64) -> Int64 { period(at: seconds).offset }

    func period(at seconds: Int64) -> Period {
        // The number of transitions at or before the moment.
        var (low, high) = (0, transitions.count)
        while low < high {
            let middle = (low + high) / 2
            if transitions[middle].at <= seconds { low = middle + 1 } else { high = middle }
        }
        return period(low)
    }

    func period(_ index: Int) -> Period {
        let offset = index == 0 ? initialOffset : transitions[index - 1].offset
        let before = index <= 1 ? initialOffset : transitions[index - 2].offset
        return Period(
            index: index, start: index == 0 ? .min : transitions[index - 1].at,
            end: index == transitions.count ? .max : transitions[index].at, offset: offset,
            shift: index == 0 ? 0 : offset - before)
    }
}
