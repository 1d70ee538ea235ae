package import Logging

extension String {
    /// - Throws: `OptionError` that lists the levels.
    package func logLevel() throws -> Logger.Level {
        guard let level = Logger.Level(rawValue: self) else {
            let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw OptionError("--log-level '\(self)' is none of \(known)")
        }
        return level
    }
}
