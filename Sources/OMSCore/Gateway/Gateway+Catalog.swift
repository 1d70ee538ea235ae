import OMSModel
import OMSProtocol

/// What a provider offers, as often as it may change its mind.
extension Gateway {
    mutating func tookCatalog(_ provider: ProviderID, _ answer: ProviderAnswer, at now: Moment) {
        guard var door = doors[provider] else { return }
        defer { doors[provider] = door }
        door.servicesInFlight = false
        door.nextServices = now.monotonic + timing.servicesMilliseconds
        let wasStale = door.catalog?.stale ?? false
        switch answer {
        case .answered(_, _, let etag, .services(let list)):
            let etag = Self.usable(etag)
            if let known = door.catalog, known.services == list.services {
                // Nothing new, though it was sent again.
                door.catalog?.etag = etag
                door.catalog?.fetched = now.wall
                door.catalog?.stale = false
                guard wasStale else { return }
            } else if door.catalog == nil || door.catalogs.take(at: now.monotonic) {
                door.catalog = Catalog(
                    gateway: id, fetched: now.wall, etag: etag, stale: false, services: list.services)
            } else {
                // The old one stands. It is asked again as usual, and taken over when its time has come.
                let minutes = max(1, (door.catalogs.next - now.monotonic) / 60_000)
                let problem = Problem(
                    .providerMalformed,
                    "its catalogue changes at every look; the next change is taken over in \(minutes) min")
                if door.take(.warning(problem), at: now) {
                    effects.append(.report(.health(provider, door.status, door.circuit, problem)))
                }
                return
            }
        case .answered(304, _, _, _):
            door.catalog?.fetched = now.wall
            door.catalog?.stale = false
            guard wasStale else { return }
        default:
            // The old catalogue stands, marked stale; ask again sooner.
            door.nextServices = now.monotonic + min(2_000, timing.servicesMilliseconds)
            guard door.catalog?.stale == false else { return }
            door.catalog?.stale = true
        }
        if let catalog = door.catalog { publish(.providerCatalog(provider), .catalog(catalog)) }
    }

    /// An entity tag is sent back in a header, so it must be one line and short.
    static func usable(_ etag: String?) -> String? {
        guard let etag, !etag.isEmpty, etag.utf8.count <= 1_024, etag.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f })
        else {
            return nil
        }
        return etag
    }
}
