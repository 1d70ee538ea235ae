/// What happens to a tick of a schedule while the run before has not ended (docs/operate/schedules.md).
package enum OverlapPolicy: String, Codable, Sendable, CaseIterable {
    /// It is skipped. The default.
    case skip
    /// It waits for the run; a newer tick takes its place.
    case queueOne = "queue-one"
    /// It waits in line, at most `queue_limit` of them; the oldest gives way.
    case queueAll = "queue-all"
    /// The run is stopped at its providers; when its end is confirmed, the tick is fired.
    case stopOld = "stop-old"
}
