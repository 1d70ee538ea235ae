import OMSAdmin
import OMSModel
import OMSSimulation

/// A file of an operator: read, checked, and what is right given to a registry.
enum FuzzDocuments {
    private static let fresh: Stage? = {
        var stage = Stage()
        do { try stage.connect() } catch { return nil }
        return stage
    }()

    static func read(_ bytes: [UInt8], _ costs: inout Costs) throws {
        let text = String(decoding: bytes, as: UTF8.self)
        let values: [JSONValue] = costs.measure {
            // Whatever is wrong with a file is said in a sentence.
            do {
                let file = try YAMLFile(text, path: "f.yaml", variables: { $0 == "UNSET" ? nil : $0 })
                return try DeclaredDocuments(files: [file]).values
            } catch {
                _ = "\(error)"
                return []
            }
        }
        guard !values.isEmpty, var stage = fresh else { return }
        try costs.measure { try stage.ask("apply", ["documents": .array(values)]) }
        for _ in 0..<3 {
            try stage.answerHonestly()
            try stage.wait(700)
        }
        try costs.measure { try stage.ask("apply", ["documents": .array(values)]) }
    }
}
