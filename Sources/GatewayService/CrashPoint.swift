import Glibc
import OMSBus

/// Where a test lets the gateway die, as by kill -9: `before-send:7` at the seventh submit whose intent is on disk.
struct CrashPoint: Sendable {
    enum Place: String, CaseIterable, Sendable {
        /// The intent is on disk, no byte has left.
        case beforeSend = "before-send"
        /// The request was handed to libcurl.
        case afterSend = "after-send"
        /// The answer is there, nobody knows of it.
        case beforeOutcome = "before-outcome"
    }

    let place: Place
    private var remaining: Int

    init(_ text: String) throws {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let place = Place(rawValue: String(parts[0])), let count = Int(parts[1]), count > 0
        else {
            let known = Place.allCases.map(\.rawValue).joined(separator: ", ")
            throw OptionError("--crash-point '\(text)' must be PLACE:COUNT with PLACE one of \(known)")
        }
        self.place = place
        remaining = count
    }

    mutating func pass(_ place: Place) {
        guard place == self.place else { return }
        remaining -= 1
        if remaining == 0 { kill(getpid(), SIGKILL) }
    }
}
