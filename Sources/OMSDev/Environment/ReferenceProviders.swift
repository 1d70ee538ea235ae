/// The three example Service Providers of the demo.
package struct ReferenceProvider: Sendable {
    package var name: String
    var services: String
    var recommendMethod: String?

    package static let all = [
        ReferenceProvider(name: "alpha", services: "harvest,optimise"),
        ReferenceProvider(name: "beta", services: "recommend", recommendMethod: "empirical-bayes"),
        ReferenceProvider(name: "gamma", services: "recommend", recommendMethod: "wilson"),
    ]

    package var childName: String { "reference-sp-\(name)" }

    /// The variable that `oms.yaml` takes the provider's address from.
    package var addressVariable: String { "\(name.uppercased())_URL" }
}
