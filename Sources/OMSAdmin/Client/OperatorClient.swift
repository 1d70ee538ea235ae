import FoundationEssentials
import Mosquitto
package import OMSDev
package import OMSModel
import OMSProtocol
import OMSRuntime

/// An answer that says no.
package struct RefusedError: Error, CustomStringConvertible {
    package var problem: Problem

    /// One line, whatever is in it.
    package var description: String { TerminalText(line: problem.detail ?? problem.title ?? problem.type).text }
}

/// Asks the active registry, over one connection.
package struct OperatorClient: Sendable {
    private let connection: BusConnection
    private let endpoint: BusEndpoint
    /// A lost question or answer is cheap to repeat: the registry knows the id.
    private static let repeatAfter: Duration = .seconds(2)
    package static let deadline: Duration = .seconds(5)
    /// A registry without its database says so at once; another one, the active one, may be about to answer.
    private static let secondAnswer: Duration = .seconds(1)

    package static func with<Value: Sendable>(
        _ endpoint: BusEndpoint, _ body: (OperatorClient) async throws -> Value
    ) async throws -> Value {
        let connection = try await BusConnection.open(endpoint, kinds: [], responses: true)
        do {
            let value = try await body(OperatorClient(connection: connection, endpoint: endpoint))
            await connection.close()
            return value
        } catch {
            await connection.close()
            throw error
        }
    }

    package func query(_ method: String, _ params: JSONObject = [:]) async throws -> JSONValue {
        // An operator's question goes where readers cannot write, and so not behind theirs.
        let topic: Topic = endpoint.user == Role.admin.rawValue ? .command : .query
        return try await ask(topic, method, .object(params), deadline: Self.deadline)
    }

    /// Changes take a while longer: they are answered after the commit.
    package func command(_ method: String, _ params: JSONObject) async throws -> JSONValue {
        try await ask(.command, method, .object(params), deadline: .seconds(15))
    }

    private func ask(_ topic: Topic, _ method: String, _ params: JSONValue, deadline: Duration) async throws
        -> JSONValue
    {
        let whole = ClientRequest(
            id: BusConnection.uniqueID("q").text, client: connection.clientID, method: method, params: params)
        // Many documents come in several requests, of which the last one is answered for all.
        let parts = whole.parts
        for part in parts.dropLast() { _ = try await ask(topic, part, deadline: deadline) }
        return try await ask(topic, parts.last ?? whole, deadline: deadline)
    }

    private func ask(_ topic: Topic, _ request: ClientRequest, deadline: Duration) async throws -> JSONValue {
        let connection = connection
        let response = try await withThrowingTaskGroup(of: ClientResponse?.self) { group in
            group.addTask { await Self.best(answerTo: request.id, on: connection) }
            group.addTask {
                try await send(topic, request)
                try await Task.sleep(for: Self.repeatAfter)
                try await send(topic, request)
                try await Task.sleep(for: deadline - Self.repeatAfter)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        guard let response else {
            throw DevError(
                "no answer from the registry within \(deadline.components.seconds) s; is oms-registry running and "
                    + "connected to the broker at \(endpoint.host):\(endpoint.port)?")
        }
        guard (200..<300).contains(response.status), response.error == nil else {
            throw RefusedError(
                problem: response.error
                    ?? Problem(.internal, "the registry answered \(response.status) without a reason"))
        }
        return response.result ?? .null
    }

    private static func best(answerTo id: String, on connection: BusConnection) async -> ClientResponse? {
        guard let first = await next(answerTo: id, on: connection) else { return nil }
        guard first.status == 503 else { return first }
        return await withTaskGroup(of: ClientResponse?.self) { group in
            group.addTask {
                while let other = await next(answerTo: id, on: connection) {
                    if other.status != 503 { return other }
                }
                return nil
            }
            group.addTask {
                try? await Task.sleep(for: secondAnswer)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        } ?? first
    }

    private static func next(answerTo id: String, on connection: BusConnection) async -> ClientResponse? {
        for await event in connection.events {
            if case .message(let message, _) = event, case .response(let response) = message.payload,
                response.id == id
            {
                return response
            }
        }
        return nil
    }

    private func send(_ topic: Topic, _ request: ClientRequest) async throws {
        do {
            try await connection.send(Message(topic, .request(request)), id: request.id)
        } catch let error as MQTTError {
            if case .tooLarge = error.code {
                throw DevError(
                    "the request is too large for the broker: \(error.message). A single document must fit into one message; "
                        + "divide it, or raise the broker's max_packet_size")
            }
            guard case .refused(let code) = error.code else { throw error }
            if code == 0x87 {
                throw DevError(
                    "the broker does not let the user '\(endpoint.user)' write to \(topic.name); "
                        + "use another user, such as admin, with --mqtt-user")
            }
            throw error
        }
    }
}
