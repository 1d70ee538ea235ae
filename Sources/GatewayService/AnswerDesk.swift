import Curl
import Glibc
import OMSCore
import OMSModel
import OMSRuntime

/// Reads providers' answers on a thread of its own: however much one costs, neither the broker nor a timer waits for it. The
/// providers take turns, one answer each, those with a short one first, and every provider's answers are read in the order in
/// which they came.
actor AnswerDesk {
    nonisolated let thread: PinnedThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private struct Letter {
        let call: ProviderCall
        let outcome: HTTPOutcome
        let secret: String?
        let done: @Sendable (ProviderAnswer, _ cost: Int64) -> Void
    }

    /// Bounded by the calls that a provider may have under way.
    private var letters: [ProviderID: [Letter]] = [:]
    private var turns: [ProviderID] = []
    private var shortInARow = 0
    private let reader = AnswerReader()
    private let box: BlackBox?
    private let crashOn: ProviderID?
    /// Of the box: what is being read. The loop has the first one.
    static let slot = 1

    /// - Parameter crashOn: for tests: dies of a trap while it reads an answer of this provider.
    init(box: BlackBox?, crashOn: ProviderID? = nil) {
        self.box = box
        self.crashOn = crashOn
        let thread = PinnedThread(name: "answers")
        self.thread = thread
        if let box { thread.post { box.markTraps(slot: Self.slot) } }
    }

    /// Legal from any thread.
    /// - Parameters:
    ///   - secret: the credential of the request; what repeats it is made unreadable.
    ///   - done: called on the desk's thread, with the processor time that reading took, in microseconds.
    nonisolated func read(
        _ outcome: HTTPOutcome, to call: ProviderCall, secret: String?,
        done: @escaping @Sendable (ProviderAnswer, _ cost: Int64) -> Void
    ) {
        let letter = Letter(call: call, outcome: outcome, secret: secret, done: done)
        thread.post { self.assumeIsolated { $0.take(letter) } }
    }

    nonisolated func shutdown() { thread.shutdown() }

    private func take(_ letter: Letter) {
        let provider = letter.call.provider
        letters[provider, default: []].append(letter)
        guard letters[provider]?.count == 1 else { return }
        turns.append(provider)
        if turns.count == 1 { goOn() }
    }

    /// One answer, then those that came meanwhile join the row.
    private func goOn() { thread.post { self.assumeIsolated { $0.readNext() } } }

    private func readNext() {
        let turn = nextTurn()
        guard turns.indices.contains(turn), let letter = letters[turns[turn]]?.first else { return }
        let provider = turns.remove(at: turn)
        letters[provider]?.removeFirst()
        if letters[provider]?.isEmpty == true { letters[provider] = nil } else { turns.append(provider) }
        let began = Self.processorTime
        box?.handle(PoisonNote(letter.call).text, slot: Self.slot)
        if let crashOn, crashOn == provider { BlackBox.trap() }
        let answer = RequestBuilder.answer(
            SecretFilter.without(letter.secret, in: letter.outcome), to: letter.call, reader: reader)
        box?.clear(slot: Self.slot)
        letter.done(answer, Self.processorTime - began)
        if !turns.isEmpty { goOn() }
    }

    /// So long a body is read in a fraction of a millisecond.
    private static let shortBytes = 16 << 10
    /// Short ones do not keep a long one waiting for ever.
    private static let maxShortInARow = 32

    private func nextTurn() -> Int {
        guard shortInARow < Self.maxShortInARow, let short = turns.firstIndex(where: { isShort($0) }) else {
            shortInARow = 0
            return 0
        }
        shortInARow += 1
        return short
    }

    private func isShort(_ provider: ProviderID) -> Bool {
        guard case .answered(let response)? = letters[provider]?.first?.outcome else { return true }
        return response.body.count <= Self.shortBytes
    }

    /// Of this thread, in microseconds.
    private static var processorTime: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }
}

/// What the black box keeps of an answer: whose it is, and of which version of the provider's document.
struct PoisonNote: Hashable, Sendable {
    var provider: ProviderID
    var version: Int

    init(_ call: ProviderCall) { self.init(call.provider, call.version) }

    init(_ provider: ProviderID, _ version: Int) {
        self.provider = provider
        self.version = version
    }

    init?(_ text: String) {
        let parts = text.split(separator: " ")
        guard parts.count == 2, let provider = ProviderID(String(parts[0])), let version = Int(parts[1]) else {
            return nil
        }
        self.init(provider, version)
    }

    var text: String { "\(provider.text) \(version)" }
}

/// A provider, or a proxy in front of it, that shows the request in its answer must not publish our credential with it.
enum SecretFilter {
    /// Shorter ones would be found by chance.
    private static let minBytes = 8

    static func without(_ secret: String?, in outcome: HTTPOutcome) -> HTTPOutcome {
        guard let secret, case .answered(var response) = outcome else { return outcome }
        let key = Array(secret.utf8)
        guard key.count >= minBytes else { return outcome }
        replace(key, in: &response.body)
        for index in response.headers.indices where response.headers[index].value.utf8.count >= key.count {
            var value = Array(response.headers[index].value.utf8)
            if replace(key, in: &value) { response.headers[index].value = String(decoding: value, as: UTF8.self) }
        }
        return .answered(response)
    }

    @discardableResult
    static func replace(_ key: [UInt8], in bytes: inout [UInt8]) -> Bool {
        guard let first = key.first else { return false }
        var found = false
        bytes.withUnsafeMutableBufferPointer { all in
            var index = 0
            // By memchr from one first byte to the next: a body has up to a megabyte.
            while index + key.count <= all.count, let base = all.baseAddress,
                let hit = memchr(base + index, Int32(first), all.count - key.count + 1 - index)
            {
                index = UnsafeRawPointer(base).distance(to: hit)
                if key.indices.allSatisfy({ all[index + $0] == key[$0] }) {
                    found = true
                    for offset in key.indices { all[index + offset] = UInt8(ascii: "*") }
                    index += key.count
                } else {
                    index += 1
                }
            }
        }
        return found
    }
}
