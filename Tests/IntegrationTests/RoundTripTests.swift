import Mosquitto
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

/// The shipped broker configuration with two of our clients.
@Suite("Round trip", .serialized, .timeLimit(.minutes(1)))
struct RoundTripTests {
    @Test("QoS 1 request and response: median below 5 ms (TCP_NODELAY stands on both ends)")
    func median() async throws {
        var options = DevOptions()
        options.extent = .servers
        options.binaryFolder = try Place.binaries
        try await DevEnvironment.with(options) { environment in
            let responder = try await BusConnection.open(
                environment.bus(.registry), kinds: [.query], deadline: .seconds(5))
            let asker = try await BusConnection.open(environment.bus(.monitor), kinds: [], responses: true)
            let answering = Task {
                for await event in responder.events {
                    guard case .message(let message, _) = event, case .request(let request) = message.payload else {
                        continue
                    }
                    let response = ClientResponse(id: request.id, status: 200)
                    try await responder.send(Message(.response(request.client), .response(response)), id: request.id)
                }
            }
            var events = asker.events.makeAsyncIterator()
            var times: [Int64] = []
            for number in 0..<200 {
                let began = MonotonicClock.microseconds
                let request = ClientRequest(id: "\(number)", client: asker.clientID, method: "ping", params: [:])
                try await asker.send(Message(.query, .request(request)), id: "\(number)")
                while let event = await events.next() {
                    guard case .message(let message, _) = event, case .response(let response) = message.payload else {
                        continue
                    }
                    if response.id == "\(number)" { break }
                }
                times.append(MonotonicClock.microseconds - began)
            }
            answering.cancel()
            await responder.close()
            await asker.close()
            let median = times.sorted()[times.count / 2]
            print("QoS 1 round trip: median \(median) us, 99 % \(times.sorted()[197]) us")
            #expect(median < 5_000)
        }
    }
}
