import Foundation
import OMSDev
import OMSRuntime

/// What a link between two processes does to them.
enum LinkFault: Sendable, Equatable, CustomStringConvertible {
    case none
    /// Every connection ends with a reset, new ones are refused.
    case cut
    /// Nothing goes through and nobody is told, as when a cable is pulled: half-open connections.
    case stall(toServer: Bool, toClient: Bool)
    /// Every piece comes so much later.
    case delay(milliseconds: Int)
    /// Once: half of the next large piece goes through, then the connection ends in the middle of a frame.
    case tear(toServer: Bool)
    /// Once: the client's COMMIT goes through, then the connection ends before the answer.
    case cutAtCommit

    var description: String {
        switch self {
        case .none: "open"
        case .cut: "cut"
        case .stall(true, true): "stall both ways"
        case .stall(let toServer, _): "stall \(toServer ? "to the server" : "to the client")"
        case .delay(let milliseconds): "delay \(milliseconds) ms"
        case .tear(let toServer): "tear a frame \(toServer ? "to the server" : "to the client")"
        case .cutAtCommit: "cut at COMMIT"
        }
    }

    func stalls(toServer: Bool) -> Bool {
        if case .stall(let server, let client) = self { return toServer ? server : client }
        return false
    }
}

/// TCP links on 127.0.0.1 that fail on demand: one thread that sleeps in `poll()` for all of them.
final class FaultProxy: Sendable {
    fileprivate enum Order: Sendable {
        case link(String, listener: Int32, target: Int)
        case set(String, LinkFault)
        case stop
    }

    private let orders = Locked<[Order]>([])
    private let wake = EventFD()
    /// How often a fault that waits for its moment has struck, by link.
    private let strikes = Locked<[String: Int]>([:])

    init() {
        let (orders, wake, strikes) = (orders, wake, strikes)
        Thread.detachNewThread {
            let core = ProxyCore(wake: wake) { link in strikes.withLock { $0[link, default: 0] += 1 } }
            while core.turn({
                orders.withLock {
                    let taken = $0; $0 = []; return taken
                }
            }) {}
        }
    }

    deinit { give(.stop) }

    /// - Returns: the port that leads to `target`.
    func link(_ name: String, to target: Int) throws -> Int {
        let (listener, port) = try Sockets.listen()
        give(.link(name, listener: listener, target: target))
        return port
    }

    func set(_ link: String, _ fault: LinkFault) { give(.set(link, fault)) }

    var struck: Int { strikes.withLock { $0.values.reduce(0, +) } }

    private func give(_ order: Order) {
        orders.withLock { $0.append(order) }
        wake.signal()
    }
}

/// Lives on the proxy's thread.
private final class ProxyCore {
    final class Link {
        let name: String
        let listener: Int32
        let target: Int
        var fault = LinkFault.none
        var pairs: [Pair] = []

        init(_ name: String, _ listener: Int32, _ target: Int) {
            self.name = name
            self.listener = listener
            self.target = target
        }
    }

    /// A client's connection and ours to the server behind it.
    final class Pair {
        let client: Int32
        let server: Int32
        var toServer = Flow()
        var toClient = Flow()
        var isOver = false

        init(client: Int32, server: Int32) {
            self.client = client
            self.server = server
        }
    }

    /// One direction: pieces that are due at their time.
    struct Flow {
        var pieces: [(due: Int64, bytes: [UInt8])] = []
        var size = 0
        var hasEnded = false
        var isShut = false
    }

    private let wake: EventFD
    private let strike: (String) -> Void
    private var links: [Link] = []

    init(wake: EventFD, strike: @escaping (String) -> Void) {
        self.wake = wake
        self.strike = strike
    }

    /// Waits for something and deals with it; false at the end.
    func turn(_ take: () -> [FaultProxy.Order]) -> Bool {
        var polled = [pollfd(fd: wake.fileDescriptor, events: Int16(POLLIN), revents: 0)]
        var actions: [(Link, Pair?, isClient: Bool)] = []
        var next: Int64 = .max
        for link in links {
            polled.append(pollfd(fd: link.listener, events: Int16(POLLIN), revents: 0))
            actions.append((link, nil, false))
            for pair in link.pairs {
                for isClient in [true, false] {
                    let (from, to) = isClient ? (pair.toServer, pair.toClient) : (pair.toClient, pair.toServer)
                    var events: Int32 = 0
                    if !from.hasEnded, from.size < 1 << 18, !link.fault.stalls(toServer: isClient) { events |= POLLIN }
                    if let first = to.pieces.first, !link.fault.stalls(toServer: !isClient) {
                        if first.due <= MonotonicClock.milliseconds {
                            events |= POLLOUT
                        } else {
                            next = min(next, first.due)
                        }
                    }
                    // Without interest not even a hang-up may be seen, or the loop would spin on it.
                    let descriptor = events == 0 ? -1 : isClient ? pair.client : pair.server
                    polled.append(pollfd(fd: descriptor, events: Int16(events), revents: 0))
                    actions.append((link, pair, isClient))
                }
            }
        }
        let timeout = next == .max ? -1 : Int32(clamping: max(1, next - MonotonicClock.milliseconds))
        guard poll(&polled, nfds_t(polled.count), timeout) >= 0 || errno == EINTR else { return end() }
        // Orders first: whoever gives one may count on it for what it does next.
        if polled[0].revents != 0 {
            wake.clear()
            for order in take() where !obey(order) { return end() }
        }
        for (index, (link, pair, isClient)) in actions.enumerated() {
            let events = Int32(polled[index + 1].revents)
            guard events != 0 else { continue }
            if let pair { move(link, pair, isClient, events) } else { accept(link) }
        }
        for link in links { bury(link) }
        return true
    }

    private func end() -> Bool {
        for link in links {
            close(link.listener)
            for pair in link.pairs { reset(pair) }
            bury(link)
        }
        return false
    }

    private func obey(_ order: FaultProxy.Order) -> Bool {
        switch order {
        case .stop: return false
        case .link(let name, let listener, let target): links.append(Link(name, listener, target))
        case .set(let name, let fault):
            guard let link = links.first(where: { $0.name == name }) else { return true }
            link.fault = fault
            if fault == .cut { for pair in link.pairs { reset(pair) } }
        }
        return true
    }

    private func accept(_ link: Link) {
        let client = Glibc.accept(link.listener, nil, nil)
        guard client >= 0 else { return }
        guard link.fault != .cut, let server = Sockets.connect(to: link.target) else { return Sockets.reset(client) }
        Sockets.prepare(client)
        link.pairs.append(Pair(client: client, server: server))
    }

    private func move(_ link: Link, _ pair: Pair, _ isClient: Bool, _ events: Int32) {
        guard !pair.isOver else { return }
        let here = isClient ? pair.client : pair.server
        if events & POLLOUT != 0 { write(pair, here, isClient ? \.toClient : \.toServer) }
        if !pair.isOver, events & (POLLIN | POLLHUP | POLLERR) != 0 {
            read(link, pair, here, toServer: isClient, isClient ? \.toServer : \.toClient)
        }
        finish(pair)
    }

    private func read(
        _ link: Link, _ pair: Pair, _ descriptor: Int32, toServer: Bool, _ flow: ReferenceWritableKeyPath<Pair, Flow>
    ) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count >= 0 else { return reset(pair) }
        guard count > 0 else {
            pair[keyPath: flow].hasEnded = true
            return
        }
        var bytes = Array(buffer.prefix(count))
        var due = MonotonicClock.milliseconds
        switch link.fault {
        case .delay(let milliseconds): due += Int64(milliseconds)
        case .tear(toServer) where count >= 64:
            bytes.removeLast(count / 2)
            pair[keyPath: flow].hasEnded = true
            struck(link)
        case .cutAtCommit where toServer && bytes.firstRange(of: Array("COMMIT\0".utf8)) != nil:
            // The server gets it whole and acts on it; the client never hears of that.
            Sockets.send(pair.server, pair.toServer.pieces.flatMap(\.bytes) + bytes)
            Sockets.reset(pair.client)
            close(pair.server)
            pair.isOver = true
            return struck(link)
        default: break
        }
        pair[keyPath: flow].pieces.append((due, bytes))
        pair[keyPath: flow].size += bytes.count
    }

    private func struck(_ link: Link) {
        link.fault = .none
        strike(link.name)
    }

    private func write(_ pair: Pair, _ descriptor: Int32, _ flow: ReferenceWritableKeyPath<Pair, Flow>) {
        while let piece = pair[keyPath: flow].pieces.first, piece.due <= MonotonicClock.milliseconds {
            let count = send(descriptor, piece.bytes, piece.bytes.count, Int32(MSG_NOSIGNAL))
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            guard count > 0 else { return reset(pair) }
            pair[keyPath: flow].size -= count
            if count == piece.bytes.count {
                pair[keyPath: flow].pieces.removeFirst()
            } else {
                pair[keyPath: flow].pieces[0].bytes.removeFirst(count)
            }
        }
    }

    /// Passes on that a side has said all, when all of it is through.
    private func finish(_ pair: Pair) {
        guard !pair.isOver else { return }
        if pair.toServer.hasEnded, pair.toServer.pieces.isEmpty, !pair.toServer.isShut {
            pair.toServer.isShut = true
            shutdown(pair.server, Int32(SHUT_WR))
        }
        if pair.toClient.hasEnded, pair.toClient.pieces.isEmpty, !pair.toClient.isShut {
            // A server that has ended hears nothing more: the client must not talk into the void.
            close(pair.client)
            close(pair.server)
            pair.isOver = true
        }
    }

    private func reset(_ pair: Pair) {
        guard !pair.isOver else { return }
        Sockets.reset(pair.client)
        Sockets.reset(pair.server)
        pair.isOver = true
    }

    private func bury(_ link: Link) { link.pairs.removeAll(where: \.isOver) }
}
