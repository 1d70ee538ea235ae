import FoundationEssentials
import Glibc
import OMSRuntime

/// A private PostgreSQL in the data folder, reachable on 127.0.0.1 only.
package struct PostgresServer: Sendable {
    package static let childName = "postgres"
    static let database = "oms"
    /// Superuser of this private server: the registry's migrations make roles and schemas.
    static let owner = "oms"
    static let reporter = "reporter"

    let binaries: String
    let folder: DataFolder
    let user: SystemUser?
    let password: Secret
    let reporterPassword: Secret

    init(folder: DataFolder) throws(DevError) {
        self.folder = folder
        binaries = try Self.findBinaries(version: DataFolder.read(folder.file("postgres/PG_VERSION"))?.trimmingSpace)
        if SystemUser.isRoot {
            guard let account = SystemUser(named: "postgres") else {
                throw DevError(
                    "PostgreSQL refuses to run as root and there is no user 'postgres'; "
                        + "make one, or run this command as an ordinary user")
            }
            user = account
            try Self.checkReachable(folder.path, for: account)
        } else {
            user = nil
        }
        password = try folder.secret("postgres")
        reporterPassword = try folder.secret("reporter")
    }

    private var dataFolder: String { folder.file("postgres/data") }

    // MARK: Before the start

    /// Makes the database cluster, unless an earlier run has.
    func prepare(_ supervisor: ProcessSupervisor) async throws {
        if DataFolder.read(dataFolder + "/PG_VERSION") != nil { return try await waitForPredecessor() }
        let parent = folder.file("postgres")
        guard mkdir(parent, 0o700) == 0 || errno == EEXIST else {
            throw DevError("cannot make the folder \(parent): \(String(cString: strerror(errno)))")
        }
        try user?.own(parent)
        // Into another name first: a run that is killed here leaves no half database behind that looks whole.
        let fresh = parent + "/data.new"
        try? FileManager.default.removeItem(atPath: fresh)
        let passwordFile = "postgres/initial-password"
        try folder.write(password.value + "\n", to: passwordFile)
        defer { unlink(folder.file(passwordFile)) }
        try user?.own(folder.file(passwordFile))
        var arguments = [
            "--pgdata", fresh, "--username", Self.owner, "--pwfile", folder.file(passwordFile),
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
        ]
        if folder.isTemporary { arguments.append("--no-sync") }  // nothing to keep beyond this run
        var tool = ChildSpec(
            name: "initdb", executable: binaries + "/initdb", arguments: arguments, logFile: folder.log("initdb"))
        tool.runAs = user
        tool.folder = parent
        let status = try await supervisor.run(tool, deadline: .seconds(60))
        guard status.isSuccess, rename(fresh, dataFolder) == 0 else {
            let words = DataFolder.lastLine(of: tool.logFile) ?? "no output"
            throw DevError("initdb failed (\(status)): \(words); all of it is in \(tool.logFile)")
        }
        // So that the next run picks the same version.
        try folder.write(DataFolder.read(dataFolder + "/PG_VERSION") ?? "", to: "postgres/PG_VERSION", mode: 0o644)
    }

    /// After a kill -9 of its supervisor a server shuts down by itself; two on one folder would not go well.
    private func waitForPredecessor() async throws {
        guard let text = DataFolder.read(dataFolder + "/postmaster.pid")?.split(separator: "\n").first,
            let pid = pid_t(text)
        else { return }
        let isGone = try await Attempts.until(deadline: .seconds(15)) {
            // Its own number may meanwhile be another program's.
            let command = DataFolder.read("/proc/\(pid)/cmdline") ?? ""
            return command.contains(dataFolder) ? nil : true
        }
        if isGone == nil {
            throw DevError("a PostgreSQL (process \(pid)) still runs in \(dataFolder); stop it with 'kill -INT \(pid)'")
        }
    }

    // MARK: Running

    func child(port: Int) -> ChildSpec {
        let settings = [
            "listen_addresses=127.0.0.1", "port=\(port)", "unix_socket_directories=", "max_connections=50",
            "shared_buffers=64MB", "max_wal_size=256MB", "log_min_messages=warning", "log_timezone=UTC", "timezone=UTC",
            "autovacuum_naptime=15s",
        ]
        var child = ChildSpec(
            name: Self.childName, executable: binaries + "/postgres",
            arguments: ["-D", dataFolder] + settings.flatMap { ["-c", $0] }, logFile: folder.log(Self.childName))
        child.runAs = user
        child.folder = dataFolder
        child.stage = 0
        // Fast shutdown, then immediate; as death signal too, so that even then shared memory is given back.
        child.stop = [.init(SIGINT, patience: .seconds(10)), .init(SIGQUIT, patience: .seconds(5))]
        child.deathSignal = SIGINT
        return child
    }

    // MARK: Looking around

    private static let oldest = 15

    private static func findBinaries(version: String?) throws(DevError) -> String {
        if let folder = Executables.environment("OMS_PG_BIN") {
            for program in ["postgres", "initdb"] where !Executables.isExecutable("\(folder)/\(program)") {
                throw DevError(
                    "OMS_PG_BIN: no executable '\(program)' in \(folder); name the folder with PostgreSQL's programs, "
                        + "or unset it (Debian: apt install postgresql-15)")
            }
            return folder
        }
        let root = "/usr/lib/postgresql"
        let installed = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }
            .filter {
                Executables.isExecutable("\(root)/\($0)/bin/postgres")
                    && Executables.isExecutable("\(root)/\($0)/bin/initdb")
            }
            .sorted()
        if let version = version.flatMap({ Int($0) }), installed.contains(version) { return "\(root)/\(version)/bin" }
        if let version {
            throw DevError(
                "the data folder was made by PostgreSQL \(version), which is not installed; "
                    + "install it (Debian: apt install postgresql-\(version)) or choose another folder with --data")
        }
        if let newest = installed.last, newest >= oldest { return "\(root)/\(newest)/bin" }
        if let found = Executables.system("postgres", folders: []),
            Executables.isExecutable(sibling("initdb", of: found))
        {
            return String(found.dropLast("/postgres".count))
        }
        throw DevError(
            "no PostgreSQL server (version \(oldest) or later) in \(root) or PATH; "
                + "install it: apt install postgresql-15 (Debian 12) or apt install postgresql")
    }

    private static func sibling(_ name: String, of path: String) -> String {
        path.dropLast("postgres".count) + name
    }

    /// Every folder on the way must let the account pass.
    private static func checkReachable(_ path: String, for user: SystemUser) throws(DevError) {
        var current = ""
        for part in path.split(separator: "/").dropLast() {
            current += "/" + part
            var status = stat()
            guard stat(current, &status) == 0 else { continue }
            let mayPass =
                status.st_mode & 0o001 != 0
                || (status.st_uid == user.userID && status.st_mode & 0o100 != 0)
                || (user.groups.contains(status.st_gid) && status.st_mode & 0o010 != 0)
            if !mayPass {
                throw DevError(
                    "the user '\(user.name)', as whom PostgreSQL runs, cannot pass through \(current); choose another "
                        + "folder with --data, or run this command as an ordinary user")
            }
        }
    }
}
