import Foundation
import OMSDev
package import OMSModel

/// Documents read from a YAML file, which know where each of their fields stands.
package struct YAMLFile: Sendable {
    package struct Document: Sendable {
        package var value: JSONValue
        var lines: SourceLines

        /// Of a field; of the nearest thing around it where the field is missing.
        package func line(of pointer: String) -> Int { lines.line(of: pointer) }
    }

    package static let maxBytes = 1 << 20

    package var path: String
    package var documents: [Document]

    /// - Parameter variables: For `${NAME}` in texts; see `Variables`.
    package init(contentsOf path: String, variables: @escaping (String) -> String?) throws {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw DevError("cannot read '\(path)'; is the name right?")
        }
        let data: Data
        do {
            data = try file.read(upToCount: Self.maxBytes + 1) ?? Data()  // nil: at its end
        } catch { throw DevError("cannot read '\(path)': \(error.localizedDescription)") }
        try self.init(bytes: data, path: path, variables: variables)
    }

    package init(bytes: some Collection<UInt8>, path: String, variables: @escaping (String) -> String?) throws {
        guard bytes.count <= Self.maxBytes else {
            throw DevError("\(path) is larger than 1 MiB; split it into several files")
        }
        try self.init(SourceText.read(bytes, path), path: path, variables: variables)
    }

    package init(_ text: String, path: String, variables: @escaping (String) -> String?) throws {
        self.path = path
        documents = []
        let source = Variables(in: text)
        do {
            let composer = try YAMLComposer(source.text)
            var budget = NodeReader.Budget()
            while let node = try composer.next() {
                if case .scalar("", _) = node.content { continue }  // an empty document
                var reader = NodeReader(path: path, source: source, variables: variables, budget: budget)
                let (value, lines) = try reader.read(node)
                budget = reader.budget
                documents.append(Document(value: value, lines: lines))
            }
        } catch let fault as YAMLComposer.Fault {
            let hint = SourceText.hint(near: fault.line, in: text).map { "; \($0)" } ?? ""
            throw DevError("\(path):\(fault.line): \(fault.detail)\(hint)")
        }
    }
}

/// The lines of a document's values, in the shape of the document. Not a dictionary of pointers: below a long key each of
/// them would be long.
struct SourceLines: Sendable {
    var line: Int
    var members: [JSONKey: SourceLines] = [:]
    var items: [SourceLines] = []

    func line(of pointer: String) -> Int {
        var current = self
        for step in pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            if let member = current.members[JSONKey(text: String(step))] {
                current = member
            } else if let index = Int(step), current.items.indices.contains(index) {
                current = current.items[index]
            } else {
                break
            }
        }
        return current.line
    }
}
