import CLibCurl
import Glibc
import OMSRuntime

/// The multi handle and its transfers.
///
/// `@unchecked Sendable`: everything but `wake` runs on the pool's thread, and `curl_multi_wakeup` is the one function
/// of the multi interface that any thread may call.
final class CurlEngine: Sleeper, @unchecked Sendable {
    private let multi: OpaquePointer
    private let configuration: HTTPPoolConfiguration
    private var transfers: [UInt64: Transfer] = [:]
    /// Handles for reuse: making one costs more than a small request. Bounded by the number of connections.
    private var idle: [UnsafeMutableRawPointer] = []

    /// `curl_global_init` is not thread-safe; a global `let` runs once.
    private static let initialized: Void = { _ = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) }()

    init(_ configuration: HTTPPoolConfiguration) {
        _ = Self.initialized
        guard let created = curl_multi_init() else { preconditionFailure("out of memory or descriptors at start-up") }
        multi = OpaquePointer(created)
        self.configuration = configuration
        oms_curl_multi_set_long(created, CURLMOPT_MAX_TOTAL_CONNECTIONS, configuration.maxConnections)
        oms_curl_multi_set_long(created, CURLMOPT_MAX_HOST_CONNECTIONS, configuration.maxConnectionsPerHost)
        oms_curl_multi_set_long(created, CURLMOPT_MAXCONNECTS, configuration.maxConnections)
    }

    deinit {
        for handle in idle { curl_easy_cleanup(handle) }
        curl_multi_cleanup(UnsafeMutableRawPointer(multi))
    }

    private var handle: UnsafeMutableRawPointer { UnsafeMutableRawPointer(multi) }

    func wake() { curl_multi_wakeup(handle) }

    func sleep(atMost limit: Duration?) {
        // libcurl shortens the wait to its own next deadline.
        curl_multi_poll(handle, nil, 0, Int32(clamping: limit?.roundedUpMilliseconds ?? 60_000), nil)
    }

    func turn() {
        var running: Int32 = 0
        curl_multi_perform(handle, &running)
        var left: Int32 = 0
        while let message = curl_multi_info_read(handle, &left) {
            var code = CURLE_OK
            guard let easy = oms_curl_done(message, &code), let context = oms_curl_get_private(easy) else { continue }
            // `transfers` holds it until `finish`.
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            finish(transfer, transfer.outcome(code))
        }
    }

    func begin(_ request: HTTPRequest, number: UInt64, completion: @escaping @Sendable (HTTPOutcome) -> Void) {
        guard let easy = idle.popLast() ?? curl_easy_init() else {
            return completion(.failed(.init(phase: .notSent, kind: .other, message: "out of memory", curlCode: 27)))
        }
        let transfer = Transfer(
            request, number: number, easy: easy, policy: configuration.addressPolicy, completion: completion)
        transfers[number] = transfer
        if let problem = transfer.prepare(configuration) {
            return finish(
                transfer, .failed(.init(phase: .notSent, kind: .malformed, message: problem, curlCode: 0)))
        }
        let code = curl_multi_add_handle(handle, easy)
        if code != CURLM_OK {
            finish(transfer, .failed(.init(phase: .notSent, kind: .other, message: "libcurl: \(code)", curlCode: 0)))
        }
    }

    func cancel(_ number: UInt64) {
        if let transfer = transfers[number] { finish(transfer, transfer.cancelled()) }
    }

    func cancelAll() {
        for transfer in Array(transfers.values) { finish(transfer, transfer.cancelled()) }
    }

    private func finish(_ transfer: Transfer, _ outcome: HTTPOutcome) {
        curl_multi_remove_handle(handle, transfer.easy)  // harmless for one that was never added
        transfers[transfer.number] = nil
        curl_easy_reset(transfer.easy)  // forgets all pointers into `transfer`
        if idle.count < configuration.maxConnections {
            idle.append(transfer.easy)
        } else {
            curl_easy_cleanup(transfer.easy)
        }
        transfer.freeHeaders()
        transfer.completion(outcome)
    }
}
