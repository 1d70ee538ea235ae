import Glibc
import OMSProtocol

/// A private MQTT broker, reachable on 127.0.0.1 only, with one user per role.
package struct MosquittoServer: Sendable {
    package static let childName = "mosquitto"

    let binary: String
    let passwordTool: String
    let folder: DataFolder
    let user: SystemUser?
    let passwords: [Role: Secret]

    init(folder: DataFolder) throws(DevError) {
        self.folder = folder
        guard let binary = Executables.system("mosquitto", folders: ["/usr/sbin", "/usr/local/sbin"]),
            let tool = Executables.system("mosquitto_passwd", folders: ["/usr/bin", "/usr/local/bin"])
        else {
            throw DevError("no MQTT broker 'mosquitto' in /usr/sbin or PATH; install it: apt install mosquitto")
        }
        self.binary = binary
        passwordTool = tool
        // A server should not be root without need. It would drop to this account itself, but then not read our files.
        user = SystemUser.isRoot ? SystemUser(named: "mosquitto") : nil
        var passwords: [Role: Secret] = [:]
        for role in Role.allCases { passwords[role] = try folder.secret("mqtt-\(role.rawValue)") }
        self.passwords = passwords
    }

    private var ownFolder: String { folder.file("mosquitto") }

    /// Writes configuration, access rules and hashed passwords.
    func prepare(_ supervisor: ProcessSupervisor, port: Int) async throws {
        guard mkdir(ownFolder, 0o700) == 0 || errno == EEXIST else {
            throw DevError("cannot make the folder \(ownFolder): \(String(cString: strerror(errno)))")
        }
        let profile = BrokerProfile(
            address: "127.0.0.1", port: port, passwordFile: ownFolder + "/passwd", accessFile: ownFolder + "/acl",
            logDestination: "stderr", user: SystemUser.isRoot && user == nil ? "root" : nil)
        let lines = passwords.sorted { $0.key.rawValue < $1.key.rawValue }.map {
            "\($0.key.rawValue):\($0.value.value)\n"
        }
        try folder.write(lines.joined(), to: "mosquitto/passwd")
        try folder.write(AccessControlList.render(), to: "mosquitto/acl")
        try folder.write(profile.render(), to: "mosquitto/mosquitto.conf")
        // Hashes the passwords in place: the only way that has none of them in a command line.
        let tool = ChildSpec(
            name: "mosquitto_passwd", executable: passwordTool, arguments: ["-U", ownFolder + "/passwd"],
            logFile: folder.log("mosquitto_passwd"))
        let status = try await supervisor.run(tool, deadline: .seconds(20))
        guard status.isSuccess else {
            throw DevError("mosquitto_passwd failed (\(status)); its output is in \(tool.logFile)")
        }
        for path in [ownFolder, ownFolder + "/passwd", ownFolder + "/acl", ownFolder + "/mosquitto.conf"] {
            try user?.own(path)
        }
    }

    func child() -> ChildSpec {
        var child = ChildSpec(
            name: Self.childName, executable: binary, arguments: ["-c", ownFolder + "/mosquitto.conf"],
            logFile: folder.log(Self.childName))
        child.runAs = user
        child.folder = ownFolder
        child.stage = 1
        child.stop = [.init(SIGTERM, patience: .seconds(5))]
        return child
    }
}
