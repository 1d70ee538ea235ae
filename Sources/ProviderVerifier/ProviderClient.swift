import Curl
import FoundationEssentials
import OMSModel
import OMSRuntime

/// Sends the probes, with the limits of the gateway: what it would not read is not read here either.
struct ProviderClient: Sendable {
    let baseURL: String
    let token: String?
    let timeoutMilliseconds: Int
    private let pool: HTTPPool

    init(_ options: VerifyOptions) {
        baseURL = options.baseURL.hasSuffix("/") ? String(options.baseURL.dropLast()) : options.baseURL
        token = options.token
        timeoutMilliseconds = options.timeoutMilliseconds
        var limits = HTTPPoolConfiguration()
        limits.addressPolicy = options.addressPolicy
        pool = HTTPPool(limits)
    }

    func shutdown() { pool.shutdown() }

    /// - Parameters:
    ///   - headers: beside those that the gateway always sends; a name with an empty value is left out.
    func send(
        _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil
    ) async -> Reply {
        var all = ["Accept": "application/json, application/problem+json", "OMS-SP-Version": "1"]
        if let token { all["Authorization"] = "Bearer \(token)" }
        if body != nil { all["Content-Type"] = "application/json" }
        all.merge(headers) { _, new in new }
        var request = HTTPRequest(method: method, url: baseURL + path, body: body)
        request.headers = all.filter { !$0.value.isEmpty }.sorted { $0.key < $1.key }.map {
            (name: $0.key, value: $0.value)
        }
        request.timeoutMilliseconds = timeoutMilliseconds
        let began = MonotonicClock.milliseconds
        let outcome = await pool.send(request)
        let milliseconds = Int(MonotonicClock.milliseconds - began)
        switch outcome {
        case .failed(let failure):
            let exchange = Exchange(
                method: method, path: path, status: nil, text: failure.description, milliseconds: milliseconds)
            return Reply(
                exchange: exchange, status: 0, isUnsent: failure.phase == .notSent, headers: [], body: [], json: nil)
        case .answered(let response):
            let exchange = Exchange(
                method: method, path: path, status: response.status,
                text: String(decoding: response.body.prefix(Exchange.textBytes), as: UTF8.self),
                milliseconds: milliseconds)
            return Reply(
                exchange: exchange, status: response.status, headers: response.headers, body: response.body,
                json: try? JSONDecoder().decode(JSONValue.self, from: Data(response.body)))
        }
    }

    func send(
        _ method: String, _ path: String, headers: [String: String] = [:], json: JSONValue
    ) async -> Reply {
        // JSONValue of our own making: nothing in it that cannot be encoded.
        await send(method, path, headers: headers, body: (try? JSONEncoder().encode(json)).map { Array($0) } ?? [])
    }
}
