import ArgumentParser
import OMSAdmin
import OMSRuntime

@main
struct OMS {
    static func main() async {
        ProcessSetup.prepare()
        await OMSCommand.main()
    }
}
