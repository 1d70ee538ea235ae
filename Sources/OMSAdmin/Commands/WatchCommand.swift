import ArgumentParser
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Shows what happens, one line each, until Ctrl-C.")

    @Argument(help: "Only of this tenant.")
    var tenant: String?

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        if let tenant, TenantID(tenant) == nil { throw DevError("'\(tenant)' is no tenant's name; \(nameRule)") }
        let endpoint = try connection.endpoint()
        let filter = tenant
        _ = try await StopSignals.run {
            let bus = try await BusConnection.open(endpoint, kinds: Board.kinds)
            let console = Console()
            var board = Board()
            for await event in bus.events {
                switch event {
                case .message(let message, _):
                    for line in board.take(message)
                    where filter.map({ line.text.hasPrefix("\($0)/") || line.text.hasPrefix("\($0):") }) ?? true {
                        console.line("\(RFC3339.string(milliseconds: WallClock.milliseconds)) \(line)")
                    }
                case .lost(let reason): console.line("connection lost: \(reason); trying again")
                case .unreadable(let topic, let reason): console.line("unreadable message on \(topic): \(reason)")
                case .connected, .refused: break
                }
            }
            await bus.close()
        }
    }
}
