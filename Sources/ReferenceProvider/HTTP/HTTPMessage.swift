import OMSModel

/// A request as the handlers see it: complete, within all limits.
struct HTTPRequest: Sendable {
    var method: String
    /// Percent-encoded, as sent, without the query.
    var path: String
    var query: String
    /// By lower-case name; repeated headers are joined with ", ".
    var headers: [String: String]
    var body: [UInt8]
}

struct HTTPResponse: Sendable {
    var status: Int
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
    /// Ends the connection after this answer.
    var closes = false

    static func json(_ status: Int, _ value: some Encodable, headers: [(name: String, value: String)] = []) throws
        -> HTTPResponse
    {
        let type = (name: "Content-Type", value: "application/json")
        return HTTPResponse(status: status, headers: [type] + headers, body: try JSONText.encode(value))
    }

    static func problem(_ problem: Problem, headers: [(name: String, value: String)] = []) -> HTTPResponse {
        var problem = problem
        let status = problem.status ?? 500
        problem.status = status
        // Problems hold only texts and numbers: encoding them cannot fail. If it did, the status still tells the truth.
        let body = (try? JSONText.encode(problem)) ?? []
        let type = (name: "Content-Type", value: "application/problem+json")
        return HTTPResponse(status: status, headers: [type] + headers, body: body)
    }

    static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Status \(status)"
        }
    }
}
