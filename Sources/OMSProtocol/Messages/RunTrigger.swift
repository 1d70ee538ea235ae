package import OMSModel

/// Somebody's wish that a service runs now, besides its schedule.
package struct RunTrigger: Hashable, Codable, Sendable {
    /// Who repeats a question keeps the id: the run's id is derived from it.
    package var id: String
    package var service: ServiceID
    /// When it was asked for.
    package var due: Timestamp

    package init(id: String, service: ServiceID, due: Timestamp) {
        self.id = id
        self.service = service
        self.due = due
    }
}
