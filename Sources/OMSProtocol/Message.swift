/// What a message says: one case per kind of data.
package enum Payload: Hashable, Sendable {
    case presence(Presence)
    case gatewayControl(GatewayControl)
    case gatewayAck(GatewayAck)
    case wmControl(WMControl)
    case wmAck(WMAck)
    case heartbeat(Heartbeat)
    case wmStatus(WMStatus)
    case wmEpoch(WMEpoch)
    case wmState(WMState)
    case journal(Journal)
    case committed(Committed)
    case result(ServiceResult)
    case jobCommand(JobCommand)
    case jobEvent(JobEvent)
    case catalog(Catalog)
    case health(Health)
    case request(ClientRequest)
    case response(ClientResponse)
    case event(OperatorEvent)
    /// An empty retained message: the thing is gone.
    case removed
}

/// A message with its address, as the cores see it.
package struct Message: Hashable, Sendable {
    package var topic: Topic
    package var payload: Payload

    package init(_ topic: Topic, _ payload: Payload) {
        self.topic = topic
        self.payload = payload
    }
}
