import ArgumentParser
import GatewayService

@main
enum Main {
    static func main() async { await GatewayCommand.main() }
}
