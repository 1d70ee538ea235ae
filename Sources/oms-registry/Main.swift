import ArgumentParser
import RegistryService

@main
enum Main {
    static func main() async { await RegistryCommand.main() }
}
