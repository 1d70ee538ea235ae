import FoundationEssentials
package import OMSModel

extension JSONValue {
    /// The value as it stands in messages and rows. Not for hot paths.
    package init(encoding value: some Encodable) {
        // What is encoded here are our own values, which always can be.
        guard let data = try? JSONEncoder().encode(value),
            let value = try? JSONDecoder().decode(JSONValue.self, from: data)
        else {
            self = .null
            return
        }
        self = value
    }
}
