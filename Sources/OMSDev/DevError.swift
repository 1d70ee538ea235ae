/// Why the private environment could not do what was asked: one sentence with the place and the remedy.
package struct DevError: Error, Sendable, CustomStringConvertible {
    package var message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }
}
