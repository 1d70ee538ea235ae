import OMSModel

/// Cuts what a provider says to what fits into a message: one that is too large for the bus would never arrive, and
/// with it the end of a job.
enum AnswerLimits {
    static let textBytes = 1_024
    static let nameBytes = 256
    static let maxErrors = 50
    static let tokenBytes = 2_048
    static let maxFeatures = 32
    /// Of a whole catalogue, as it is written.
    static let maxCatalogBytes = 200_000

    /// One that cannot be sent back in a header is none.
    static func etag(_ text: String) -> String? {
        text.utf8.count <= textBytes && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } ? text : nil
    }

    static func cut(_ text: inout String?, to limit: Int = textBytes) {
        guard let given = text, given.utf8.count > limit else { return }
        // By scalars, so that no character is cut in the middle.
        var bytes = 0
        let kept = given.unicodeScalars.prefix { scalar in
            bytes += UTF8.width(scalar)
            return bytes <= limit
        }
        text = String(kept) + "..."
    }

    static func cut(_ problem: inout Problem) {
        var type: String? = problem.type
        cut(&type, to: nameBytes)
        problem.type = type ?? "about:blank"
        cut(&problem.title, to: nameBytes)
        cut(&problem.detail)
        cut(&problem.instance, to: nameBytes)
        guard let errors = problem.errors else { return }
        problem.errors = errors.prefix(maxErrors).map { error in
            var (pointer, detail): (String?, String?) = (error.pointer, error.detail)
            cut(&pointer, to: nameBytes)
            cut(&detail, to: nameBytes)
            return FieldError(pointer: pointer ?? "", detail: detail ?? "")
        }
    }

    static func cut(_ job: inout ProviderJob) {
        cut(&job.message)
        if var error = job.error {
            cut(&error)
            job.error = error
        }
    }

    static func cut(_ status: inout ProviderStatus) {
        cut(&status.output)
        cut(&status.release, to: nameBytes)
        var version: String? = status.version
        cut(&version, to: nameBytes)
        status.version = version ?? ""
        status.features = status.features.map { features in
            features.prefix(maxFeatures).filter { $0.utf8.count <= 63 }
        }
    }
}
