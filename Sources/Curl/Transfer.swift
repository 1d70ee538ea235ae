import CLibCurl
import Glibc

/// One request and its answer so far. Confined to the pool's thread.
///
/// The C callbacks only copy bytes and note why they refuse.
final class Transfer {
    let number: UInt64
    let easy: UnsafeMutableRawPointer
    let completion: @Sendable (HTTPOutcome) -> Void
    private let request: HTTPRequest
    private let policy: AddressPolicy
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var sentBytes = 0
    private var headers: [(name: String, value: String)] = []
    private var headerBytes = 0
    private var body: [UInt8] = []
    private var isTooLarge = false
    private var isRefusedByPolicy = false
    /// An address was tried: whatever the policy said of others, it is not the reason.
    private var isTried = false

    init(
        _ request: HTTPRequest, number: UInt64, easy: UnsafeMutableRawPointer, policy: AddressPolicy,
        completion: @escaping @Sendable (HTTPOutcome) -> Void
    ) {
        self.request = request
        self.number = number
        self.easy = easy
        self.policy = policy
        self.completion = completion
    }

    func freeHeaders() {
        curl_slist_free_all(headerList)
        headerList = nil
    }

    /// Sets all options; returns what is wrong with the request, if anything.
    func prepare(_ configuration: HTTPPoolConfiguration) -> String? {
        // A line end in any of these would let its author write headers or requests of his own.
        let lines = [request.method, request.url] + request.headers.flatMap { [$0.name, $0.value] }
        if lines.contains(where: { $0.utf8.contains { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f } }) {
            return "control character in the request"
        }
        if request.method.isEmpty || request.headers.contains(where: { $0.name.isEmpty || $0.name.utf8.contains(0x3a) })
        {
            return "empty method or bad header name"
        }
        setLimits(configuration)
        setCallbacks()
        setRequest()
        return nil
    }

    private func setLimits(_ configuration: HTTPPoolConfiguration) {
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_QUICK_EXIT, 1)  // or one dead name server stalls the removal of a handle, and with it all others
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))  // HTTP/2 has its own silent retry
        set(CURLOPT_TCP_NODELAY, 1)
        set(CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeoutMilliseconds)
        set(CURLOPT_TIMEOUT_MS, request.timeoutMilliseconds)
        set(CURLOPT_LOW_SPEED_LIMIT, 1)
        set(CURLOPT_LOW_SPEED_TIME, configuration.lowSpeedSeconds)
        set(CURLOPT_MAXAGE_CONN, configuration.maxIdleSeconds)
        set(CURLOPT_MAXLIFETIME_CONN, configuration.maxLifetimeSeconds)
        oms_curl_set_string(easy, CURLOPT_PROTOCOLS_STR, configuration.allowsPlainHTTP ? "http,https" : "https")
        oms_curl_set_string(easy, CURLOPT_PROXY, "")  // also switches off the environment's proxies
        // ACCEPT_ENCODING stays unset: nothing is inflated, so the body cap holds for what we store.
    }

    private func setCallbacks() {
        let context = Unmanaged.passUnretained(self).toOpaque()  // the engine holds us until it resets the handle
        oms_curl_set_pointer(easy, CURLOPT_PRIVATE, context)
        oms_curl_set_pointer(easy, CURLOPT_WRITEDATA, context)
        oms_curl_set_data_function(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            Transfer.from(context).received(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        oms_curl_set_pointer(easy, CURLOPT_HEADERDATA, context)
        oms_curl_set_data_function(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            Transfer.from(context).receivedHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        oms_curl_set_pointer(easy, CURLOPT_OPENSOCKETDATA, context)
        oms_curl_set_socket_function(easy) { context, _, address in
            guard let address else { return -1 }
            return Transfer.from(context).openSocket(address)
        }
    }

    private func setRequest() {
        oms_curl_set_string(easy, CURLOPT_URL, request.url)
        for header in request.headers {
            // "Name;" is libcurl's spelling of a header without a value; "Name:" would remove one.
            append(header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)")
        }
        if request.method == "HEAD" {
            set(CURLOPT_NOBODY, 1)
        } else if request.body != nil || request.method == "POST" {
            setBody(count: request.body?.count ?? 0)
        } else if request.method != "GET" {
            oms_curl_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method)
        }
        oms_curl_set_list(easy, CURLOPT_HTTPHEADER, headerList)
    }

    /// When a reused connection dies before the first byte of an answer, libcurl sends the request again by itself, and
    /// a server that acted on the first copy acts twice. Without a SEEKFUNCTION it cannot rewind a body that it has
    /// read from us, and fails instead. An empty body needs no rewinding, so such a request gets a
    /// new connection; where that is too slow, send `{}`.
    private func setBody(count: Int) {
        set(CURLOPT_POST, 1)
        if request.method != "POST" { oms_curl_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method) }
        oms_curl_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(count))
        oms_curl_set_pointer(easy, CURLOPT_READDATA, Unmanaged.passUnretained(self).toOpaque())
        oms_curl_set_data_function(easy, CURLOPT_READFUNCTION) { bytes, size, count, context in
            guard let bytes else { return 0 }
            return Transfer.from(context).supply(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
        }
        if count == 0 { set(CURLOPT_FRESH_CONNECT, 1) }
        append("Expect:")  // no waiting for "100 Continue"
        if !request.headers.contains(where: { $0.name.lowercased() == "content-type" }) {
            append("Content-Type:")  // libcurl would claim it is a form
        }
    }

    private func set(_ option: CURLoption, _ value: Int) { oms_curl_set_long(easy, option, value) }
    private func append(_ header: String) { headerList = curl_slist_append(headerList, header) }

    // MARK: Callbacks

    private static func from(_ context: UnsafeMutableRawPointer?) -> Transfer {
        guard let context else { preconditionFailure("set together with the callback") }
        return Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    }

    /// A count other than the given one makes libcurl abort.
    private func received(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard body.count + bytes.count <= request.maxBodyBytes else {
            isTooLarge = true
            return bytes.isEmpty ? 0 : bytes.count - 1
        }
        body.append(contentsOf: bytes)
        return bytes.count
    }

    private func receivedHeader(_ bytes: UnsafeRawBufferPointer) -> Int {
        headerBytes += bytes.count
        guard headerBytes <= request.maxHeaderBytes else {
            isTooLarge = true
            return bytes.isEmpty ? 0 : bytes.count - 1
        }
        if bytes.starts(with: "HTTP/".utf8) {
            headers = []  // those of an interim answer (1xx) do not count
        } else if let colon = bytes.firstIndex(of: UInt8(ascii: ":")) {
            let name = String(decoding: bytes[..<colon], as: UTF8.self).lowercased()
            let value = bytes[(colon + 1)...].drop { $0 == 0x20 || $0 == 0x09 }
            let end =
                value.lastIndex { !($0 == 0x20 || $0 == 0x09 || $0 == 0x0d || $0 == 0x0a) } ?? value.startIndex - 1
            headers.append((name, String(decoding: bytes[value.startIndex..<(end + 1)], as: UTF8.self)))
        }
        return bytes.count
    }

    private func supply(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let body = request.body else { return 0 }
        let count = min(buffer.count, body.count - sentBytes)
        buffer.copyBytes(from: body[sentBytes..<(sentBytes + count)])
        sentBytes += count
        return count
    }

    private func openSocket(_ address: UnsafeMutablePointer<curl_sockaddr>) -> curl_socket_t {
        let isTLS = request.url.prefix(6).lowercased() == "https:"
        guard policy.allows(oms_curl_address(address), overTLS: isTLS) else {
            isRefusedByPolicy = true
            return -1  // CURL_SOCKET_BAD
        }
        isTried = true
        return socket(
            address.pointee.family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue), address.pointee.protocol)
    }

    // MARK: Outcome

    func cancelled() -> HTTPOutcome {
        .failed(.init(phase: phase, kind: .cancelled, message: "cancelled", curlCode: 0))
    }

    func outcome(_ code: CURLcode) -> HTTPOutcome {
        if code == CURLE_OK {
            let status = oms_curl_get_long(easy, CURLINFO_RESPONSE_CODE)
            // Once a connection that died while it was idle was no error for libcurl (curl #2801).
            guard status >= 200 else {
                let message = "the connection ended without an answer (status \(status))"
                return .failed(.init(phase: .maybeSent, kind: .malformed, message: message, curlCode: 0))
            }
            readRetryAfter()
            return .answered(
                HTTPResponse(
                    status: status, headers: headers, body: body,
                    timings: HTTPTimings(
                        connected: Int64(oms_curl_get_offset(easy, CURLINFO_CONNECT_TIME_T)),
                        firstByte: Int64(oms_curl_get_offset(easy, CURLINFO_STARTTRANSFER_TIME_T)),
                        total: Int64(oms_curl_get_offset(easy, CURLINFO_TOTAL_TIME_T)))))
        }
        let kind = kind(of: code)
        return .failed(.init(phase: phase, kind: kind, message: inWords(code, kind), curlCode: Int(code.rawValue)))
    }

    /// libcurl's words, where they say more to the operator of a provider than ours.
    private func inWords(_ code: CURLcode, _ kind: HTTPFailure.Kind) -> String {
        switch kind {
        case .policy: "address not allowed"
        case .tooLarge where headerBytes > request.maxHeaderBytes:
            "the answer's header is larger than \(request.maxHeaderBytes) bytes"
        case .tooLarge: "the answer is larger than \(request.maxBodyBytes) bytes"
        case .timeout:
            (phase == .notSent ? "no connection" : "no complete answer")
                + " after \(oms_curl_get_offset(easy, CURLINFO_TOTAL_TIME_T) / 1_000) ms"
        case .malformed where phase == .maybeSent:
            "the answer is no HTTP/1.1: \(String(cString: curl_easy_strerror(code)))"
        default: String(cString: curl_easy_strerror(code))
        }
    }

    /// Seconds or a date (RFC 9110, section 10.2.3): libcurl reads both, whoever asks for the header gets seconds.
    private func readRetryAfter() {
        let seconds = oms_curl_get_offset(easy, CURLINFO_RETRY_AFTER)
        guard seconds > 0, let index = headers.firstIndex(where: { $0.name == "retry-after" }) else { return }
        headers[index].value = "\(seconds)"
    }

    /// Nothing was sent only if no connection existed or no byte of the request was written to it.
    private var phase: HTTPFailure.Phase {
        oms_curl_get_long(easy, CURLINFO_REQUEST_SIZE) == 0 && sentBytes == 0 ? .notSent : .maybeSent
    }

    private func kind(of code: CURLcode) -> HTTPFailure.Kind {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST: .resolve
        case CURLE_COULDNT_CONNECT: isRefusedByPolicy && !isTried ? .policy : .connect
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE:
            .tls
        case CURLE_OPERATION_TIMEDOUT: .timeout
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_SEND_FAIL_REWIND, CURLE_PARTIAL_FILE: .reset
        case CURLE_WRITE_ERROR: isTooLarge ? .tooLarge : .other
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL,
            CURLE_BAD_CONTENT_ENCODING, CURLE_HTTP2:
            .malformed
        default: .other
        }
    }
}
