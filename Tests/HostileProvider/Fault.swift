/// What goes wrong with one answer.
package enum Fault: Sendable {
    /// Instead of the honest answer; `executes`: the request is carried out all the same.
    case answer(Int, headers: [String: String] = [:], body: String = "", executes: Bool = false)
    /// The honest answer with another body.
    case body(String)
    /// The honest answer, changed by its text.
    case replacing(String, with: String)
    /// The same, with bytes that need not be UTF-8.
    case replacingBytes(String, with: [UInt8])
    /// The honest answer with more members, as JSON text that ends with a comma.
    case adding(String)
    /// So many bytes of arrays, each in another up to a depth of 30: little text, many nodes.
    case nestedArrays(bytes: Int)
    /// The honest answer's headers, one byte each so many milliseconds.
    case slowHeaders(milliseconds: Int)
    /// The same for the body.
    case slowBody(milliseconds: Int)
    /// Honest, in chunks of one byte.
    case tinyChunks
    /// A JSON string of so many bytes.
    case hugeBody(bytes: Int)
    /// Arrays within arrays.
    case deepJSON(depth: Int)
    /// Headers without an end.
    case endlessHeaders
    /// Claims gzip; the body is a small stream that would inflate to much.
    case gzipBomb
    /// Carries the request out, then closes the connection without a byte.
    case closeAfterExecuting
    /// Closes without looking at the request.
    case close
    /// Carries the request out at once and answers so much later.
    case late(milliseconds: Int)
    /// Promises more bytes than it sends.
    case truncated
    /// No HTTP at all.
    case garbage
}

/// Which requests a fault is for.
package enum Route: Sendable, Hashable, CaseIterable {
    case services, service, status, list, job, submit, stop
}

/// Applies a fault to the next requests of some routes.
package struct FaultRule: Sendable {
    package var routes: Set<Route>
    package var fault: Fault
    /// How many requests it meets; nil: all.
    package var times: Int?
    /// Only requests on a connection that was used before.
    package var onlyReused: Bool

    package init(_ routes: Set<Route>, _ fault: Fault, times: Int? = nil, onlyReused: Bool = false) {
        self.routes = routes
        self.fault = fault
        self.times = times
        self.onlyReused = onlyReused
    }
}

/// A lasting way to break the contract.
package enum Lie: String, Sendable, Hashable, CaseIterable {
    case executesTwice, acceptsConflict, acceptsAnyConfig, acceptsUnknownService
    case wrongID, wrongTypes, nullMembers
    case stateFalls, terminalChanges, forgetsAtOnce, forgetsWhenEnded, ignoresDeadline, ignoresTimeout
    case ignoresFilters, wrongOrder, exclusiveSince, offsetPaging, wrongCounts, anyPageSize, ignoresSince
    case redirectsSlash, refusesSlash
    case plainErrors, wrongProblemStatus, wrongSlugs
    /// Says `stopping` for ever.
    case neverStops
    /// The list has rows of other makes: another id, an unknown state, null and number in labels, a far future.
    case oddRows
    /// Ends jobs with fifty errors of control characters.
    case poisonErrors
    /// Fractions where integers are meant; figures beyond 32 bits; times without a value.
    case fractions, hugeFigures, zeroTimes
    case ignoresStop, refusesSecondStop, stopForgets, noTombstone, noFencing
    case clockBehind, clockAhead, updatedFarFuture, updatedFarPast
    case wrongFigures, noRetention, alwaysRestarted
    case catalogChanges, ignoresETag
    case acceptsHugeBody, failsOnDeepBody, failsOnBadJSON, ignoresToken, losesJobsAtRestart, racesOnSubmit
}
