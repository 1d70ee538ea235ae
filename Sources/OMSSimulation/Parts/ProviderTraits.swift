import OMSModel

/// What a provider is by nature; drawn once per seed.
struct ProviderTraits {
    var catalog: ServiceList
    var etag: String
    var queueMilliseconds: Int64
    var runMilliseconds: ClosedRange<Int64>
    var failureRate: Double
    var failuresAreRetryable: Bool?
    var tombstones: Bool
    var fencing: Bool
    var stoppable: Bool
    var pageSize: Int
    var retentionSeconds: Int
    var usualLatency: SimTime

    init(_ id: ProviderID, random: inout SimRandom) {
        catalog = ServiceList(services: [
            ServiceDescription(id: "rank", type: "recommend", version: "1", available: true),
            ServiceDescription(id: "load", type: "harvest", version: "1", available: true),
        ])
        etag = "\(id)-1"
        queueMilliseconds = random.pick([10, 500, 4_000])
        runMilliseconds = random.pick([50...900, 500...8_000, 2_000...30_000])
        failureRate = random.pick([0, 0.1, 0.4])
        failuresAreRetryable = random.pick([nil, nil, true, false])
        tombstones = true
        fencing = random.chance(0.3)
        stoppable = random.chance(0.85)
        pageSize = random.pick([2, 10, 100])
        retentionSeconds = random.pick([120, 600, 86_400])
        usualLatency = random.pick([2, 20, 200]) * SimClock.millisecond
    }
}

/// How a provider behaves for a while: probabilities per call.
struct ProviderWeather {
    var refuses = 0.0
    /// The request never arrives; the gateway waits until its timeout.
    var losesRequest = 0.0
    /// It does its work, and the answer is lost.
    var losesAnswer = 0.0
    /// The request arrives long after the gateway gave it up.
    var late = 0.0
    /// The same for submits alone.
    var lateSubmits = 0.0
    var failsBefore = 0.0
    /// 5xx after the work was done.
    var failsAfter = 0.0
    var throttles = 0.0
    var malformed = 0.0
    /// 404 for a job that it has.
    var denies = 0.0
    var lies = 0.0
    var hangs = 0.0
    var slowness: SimTime = 1

    static let calm = ProviderWeather()

    /// The kinds of bad weather, by name.
    static let kinds: [(name: String, weather: ProviderWeather)] = [
        ("down", ProviderWeather(refuses: 1)),
        ("flaky", ProviderWeather(refuses: 0.2, losesRequest: 0.1, losesAnswer: 0.2, failsBefore: 0.1)),
        ("black hole", ProviderWeather(losesRequest: 1)),
        ("mute", ProviderWeather(losesAnswer: 0.8)),
        ("late", ProviderWeather(late: 0.5)),
        ("late with submits", ProviderWeather(lateSubmits: 0.9)),
        ("5xx before", ProviderWeather(failsBefore: 0.7)),
        ("5xx after", ProviderWeather(failsAfter: 0.7)),
        ("throttling", ProviderWeather(throttles: 0.8)),
        ("malformed", ProviderWeather(malformed: 0.5)),
        ("denying", ProviderWeather(denies: 0.5)),
        ("lying", ProviderWeather(lies: 0.4)),
        ("hanging", ProviderWeather(hangs: 0.7)),
        ("slow", ProviderWeather(slowness: 40)),
    ]
}
