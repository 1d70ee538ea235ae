import Foundation
import OMSModel

/// The URIs that this provider understands: `file:///a/b.csv` and `sqlite:///a.db`, both rooted at a directory of the
/// operator's choice.
enum DataURI {
    /// What is wrong with the form of a URI, or nil.
    static func problem(with uri: String, schemes: [String]) -> String? {
        guard uri.utf8.count <= 2048 else { return "the URI is longer than 2048 bytes" }
        guard let colon = uri.range(of: "://") else { return "'\(uri)' is no URI with a scheme" }
        let scheme = uri[..<colon.lowerBound].lowercased()
        guard schemes.contains(scheme) else {
            return "scheme '\(scheme)' is not supported; supported: \(schemes.joined(separator: ", "))"
        }
        if isHTTP(uri) { return hasHost(uri) ? nil : "the URL has no host, or has a user or a fragment" }
        guard path(of: uri) != nil else {
            return "after \(scheme):// comes an absolute path to a file, without host, query and fragment"
        }
        return nil
    }

    static func isHTTP(_ uri: String) -> Bool {
        let scheme = uri.prefix { $0 != ":" }.lowercased()
        return scheme == "http" || scheme == "https"
    }

    /// A secret in a URL would end up in job lists and logs, so none is taken.
    private static func hasHost(_ uri: String) -> Bool {
        guard let parts = URLComponents(string: uri), let host = parts.host, !host.isEmpty else { return false }
        return parts.user == nil && parts.password == nil && parts.fragment == nil
    }

    /// The decoded path components; nil when the URI has no usable absolute path.
    static func path(of uri: String) -> [String]? {
        guard let colon = uri.range(of: "://") else { return nil }
        let rest = uri[colon.upperBound...]
        guard rest.hasPrefix("/"), !rest.hasSuffix("/"), !rest.contains("?"), !rest.contains("#"),
            let decoded = String(rest).removingPercentEncoding, !decoded.unicodeScalars.contains("\0")
        else { return nil }
        let parts = decoded.split(separator: "/").map(String.init)
        return parts.isEmpty ? nil : parts
    }
}

/// The two directories that jobs may reach, and nothing else.
struct DataRoots: Hashable, Sendable {
    /// Inputs (`file:`).
    var data: String
    /// Stores (`sqlite:`).
    var store: String

    /// - Throws: `Problem` `input-unavailable` naming the URI.
    func input(_ uri: String) throws -> String {
        try resolve(uri, in: data, mustExist: true, .inputUnavailable)
    }

    func storeToRead(_ uri: String) throws -> String {
        try resolve(uri, in: store, mustExist: true, .inputUnavailable)
    }

    func storeToWrite(_ uri: String) throws -> String {
        try resolve(uri, in: store, mustExist: false, .outputUnwritable)
    }

    /// The real path, with all symbolic links followed, provided that it lies inside the root.
    ///
    /// The check is made before the file is opened: it protects against URIs, not against somebody who can change the
    /// directory tree at the same time. Who can do that has the operator's rights already.
    private func resolve(_ uri: String, in root: String, mustExist: Bool, _ slug: ProblemSlug) throws -> String {
        guard let parts = DataURI.path(of: uri), let realRoot = realPath(root) else {
            throw Problem(slug, "\(uri) cannot be resolved")
        }
        let path = realRoot + "/" + parts.joined(separator: "/")
        let real: String
        if let found = realPath(path) {
            real = found
        } else {
            let parent = (path as NSString).deletingLastPathComponent
            let name = (path as NSString).lastPathComponent
            var info = stat()
            // A new file is fine inside an existing directory; a dangling link could point anywhere.
            guard !mustExist, name != "..", name != ".", lstat(path, &info) != 0, let directory = realPath(parent)
            else {
                throw Problem(slug, "\(uri) does not exist", retryable: true)
            }
            real = directory + "/" + name
        }
        guard real.hasPrefix(realRoot == "/" ? "/" : realRoot + "/") else {
            throw Problem(slug, "\(uri) leads out of the directory that this provider may use")
        }
        var info = stat()
        if stat(real, &info) == 0, info.st_mode & S_IFMT != S_IFREG {
            throw Problem(slug, "\(uri) is not a regular file")
        }
        return real
    }

    private func realPath(_ path: String) -> String? {
        guard let found = realpath(path, nil) else { return nil }
        defer { free(found) }
        return String(cString: found)
    }
}
