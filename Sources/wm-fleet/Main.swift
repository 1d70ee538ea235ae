import ArgumentParser
import FleetService

@main
enum Main {
    static func main() async { await FleetCommand.main() }
}
