import ArgumentParser
import OMSAdmin
import OMSRuntime

@main
struct OMS {
    static func main() async {
        ProcessSetup.prepare()
        do {
            var command = try OMSCommand.parseAsRoot()
            if var waiting = command as? any AsyncParsableCommand {
                try await waiting.run()
            } else {
                try command.run()
            }
        } catch {
            OMSCommand.end(with: error)
        }
    }
}
