import Foundation
import Glibc
import OMSDev
import OMSRuntime
import Testing

/// The tool that breaks links must break what it says and nothing else.
@Suite("Fault proxy", .timeLimit(.minutes(1)))
struct FaultProxyTests {
    /// A client and the server's end of its connection, with a link in between.
    private final class Line {
        let client: Int32
        let server: Int32

        init(_ proxy: FaultProxy, _ listener: Int32, _ port: Int) throws {
            client = try #require(Sockets.connect(to: port))
            var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            try #require(poll(&waiting, 1, 5_000) == 1, "the link did not connect")
            server = accept(listener, nil, nil)
            Sockets.prepare(server)
        }

        deinit {
            close(client)
            close(server)
        }

        /// What arrives within the time: nil for nothing, empty for the end of the connection.
        static func read(_ descriptor: Int32, within milliseconds: Int32) -> [UInt8]? {
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, milliseconds) == 1 else { return nil }
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            return Array(buffer.prefix(max(0, count)))
        }
    }

    private func with(_ body: (FaultProxy, () throws -> Line) throws -> Void) throws {
        let proxy = FaultProxy()
        let (listener, target) = try Sockets.listen()
        let port = try proxy.link("x", to: target)
        try body(proxy) { try Line(proxy, listener, port) }
        close(listener)
    }

    @Test func forwardsAndDelays() throws {
        try with { proxy, connect in
            let line = try connect()
            Sockets.send(line.client, [1, 2, 3])
            #expect(Line.read(line.server, within: 5_000) == [1, 2, 3])
            proxy.set("x", .delay(milliseconds: 300))
            let began = MonotonicClock.milliseconds
            Sockets.send(line.server, [5])
            #expect(Line.read(line.client, within: 5_000) == [5])
            #expect(MonotonicClock.milliseconds - began >= 290)
        }
    }

    @Test func aStalledLinkIsSilentUntilItHeals() throws {
        try with { proxy, connect in
            let line = try connect()
            proxy.set("x", .stall(toServer: true, toClient: false))
            Sockets.send(line.server, [1])
            #expect(Line.read(line.client, within: 5_000) == [1])
            Sockets.send(line.client, [2])
            #expect(Line.read(line.server, within: 200) == nil, "not even an end")
            proxy.set("x", .none)
            #expect(Line.read(line.server, within: 5_000) == [2])
        }
    }

    @Test func aCutEndsConnectionsAndRefusesNewOnes() throws {
        try with { proxy, connect in
            let line = try connect()
            proxy.set("x", .cut)
            #expect(Line.read(line.client, within: 5_000) == [])
            #expect(Line.read(line.server, within: 5_000) == [])
            proxy.set("x", .none)
            let again = try connect()
            Sockets.send(again.client, [1])
            #expect(Line.read(again.server, within: 5_000) == [1])
        }
    }

    @Test func aTornFrameArrivesInHalf() throws {
        try with { proxy, connect in
            let line = try connect()
            proxy.set("x", .tear(toServer: true))
            Sockets.send(line.client, [1])  // too small to tear
            #expect(Line.read(line.server, within: 5_000) == [1])
            Sockets.send(line.client, [UInt8](repeating: 7, count: 100))
            #expect(Line.read(line.server, within: 5_000)?.count == 50)
            #expect(Line.read(line.server, within: 5_000) == [])
            #expect(proxy.struck == 1)
        }
    }

    @Test func aCommitArrivesButItsAnswerDoesNot() throws {
        try with { proxy, connect in
            let line = try connect()
            proxy.set("x", .cutAtCommit)
            Sockets.send(line.client, [0])
            #expect(Line.read(line.server, within: 5_000) == [0])
            let statement = Array("P....COMMIT\0....".utf8)
            Sockets.send(line.client, statement)
            #expect(Line.read(line.client, within: 5_000) == [])
            #expect(Line.read(line.server, within: 5_000) == statement)
        }
    }
}
