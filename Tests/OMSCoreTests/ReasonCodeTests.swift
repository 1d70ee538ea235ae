import Foundation
import OMSModel
import Testing

@Suite("Reasons")
struct ReasonCodeTests {
    /// The cores say codes as texts; this finds one that has no remedy.
    @Test("every code that a core gives has a remedy")
    func known() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Sources/OMSCore")
        let files = FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil)
        var found: Set<String> = []
        while let file = files?.nextObject() as? URL {
            guard file.pathExtension == "swift" else { continue }
            let text = try String(contentsOf: file, encoding: .utf8)
            for match in text.matches(of: /explain\(\s*[^,]+,\s*"([a-z-]+)"/) { found.insert(String(match.output.1)) }
            for match in text.matches(of: /unsatisfied\(\s*code: "([a-z-]+)"/) { found.insert(String(match.output.1)) }
        }
        #expect(found.count >= 12, "\(found.sorted())")
        #expect(found.subtracting(ReasonCode.allCases.map(\.rawValue)) == [])
    }
}
