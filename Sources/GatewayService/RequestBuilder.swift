import Curl
import OMSCore
import OMSModel

/// The one place that knows paths, headers and bodies of the SP interface (docs/reference/sp-interface).
enum RequestBuilder {
    private static let maxBodyBytes = 1 << 20

    static func request(
        for call: ProviderCall, credentials: CredentialStore
    ) throws -> HTTPRequest {
        var headers = [("Accept", "application/json, application/problem+json"), ("OMS-SP-Version", "1")]
        if let credential = call.credential {
            headers.append(("Authorization", bearer + (try credentials.secret(credential))))
        }
        if let tenant = call.tenant { headers.append(("OMS-Tenant", tenant.text)) }
        if let epoch = call.epoch { headers.append(("OMS-Epoch", "\(epoch)")) }
        var method = "GET"
        var path: String
        var body: [UInt8]?
        switch call.kind {
        case .services(let etag):
            path = "/services"
            if let etag { headers.append(("If-None-Match", etag)) }
        case .status: path = "/status"
        case .sweep(let since, let token, let pageSize):
            path = "/jobs/?updated_since=\(since)&page_size=\(pageSize)"
            if let token { path += "&page_token=\(percentEncoded(token))" }
        case .job(let id): path = "/jobs/\(id)"
        case .batch(let ids):
            path = "/jobs/?page_size=\(ids.count)&id=\(ids.map(\.description).joined(separator: ","))"
        case .submit(let request):
            (method, path) = ("POST", "/jobs/")
            headers.append(("Content-Type", "application/json"))
            headers.append(("Idempotency-Key", "\"\(request.id)\""))
            headers.append(("Prefer", "respond-async"))
            body = try JSON.encode(request)
        case .stop(let id, let action):
            (method, path) = ("POST", "/jobs/\(id)")
            headers.append(("Content-Type", "application/json"))
            body = try JSON.encode(action)
        }
        var request = HTTPRequest(method: method, url: call.baseURL + path)
        request.headers = headers.map { (name: $0.0, value: $0.1) }
        request.body = body
        request.connectTimeoutMilliseconds = 3_000
        request.timeoutMilliseconds = call.timeout
        request.maxBodyBytes = maxBodyBytes
        return request
    }

    private static let bearer = "Bearer "

    /// The credential that a request shows.
    static func secret(in request: HTTPRequest) -> String? {
        request.headers.first { $0.name == "Authorization" }.map { String($0.value.dropFirst(bearer.count)) }
    }

    private static let hexDigits = Array("0123456789ABCDEF".utf8)

    /// RFC 3986 unreserved characters stay.
    static func percentEncoded(_ text: String) -> String {
        var result: [UInt8] = []
        result.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.append(byte)
            default:
                result.append(UInt8(ascii: "%"))
                result.append(hexDigits[Int(byte >> 4)])
                result.append(hexDigits[Int(byte & 15)])
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    static func answer(_ outcome: HTTPOutcome, to call: ProviderCall, reader: AnswerReader) -> ProviderAnswer {
        switch outcome {
        case .answered(let response):
            return reader.read(
                call.kind, status: response.status,
                headers: response.headers, body: response.body)
        case .failed(let failure):
            let phase: ProviderAnswer.Phase = failure.phase == .notSent ? .notSent : .maybeSent
            return .failed(phase, fault(failure.kind), failure.message)
        }
    }

    private static func fault(_ kind: HTTPFailure.Kind) -> ProviderAnswer.Fault {
        switch kind {
        case .resolve: .resolve
        case .connect: .connect
        case .policy: .policy
        case .tls: .tls
        case .timeout: .timeout
        case .reset: .reset
        case .tooLarge: .tooLarge
        case .malformed: .malformed
        case .cancelled, .other: .other
        }
    }
}
