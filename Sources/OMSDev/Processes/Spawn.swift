import CSystem
import Glibc

/// One running child, seen through the kernel.
struct SpawnedProcess {
    var pid: Int32
    /// Readable once the child has ended.
    var descriptor: Int32
}

enum Spawn {
    /// Call it on a thread that lives as long as the children may: they die with it.
    static func spawn(_ spec: ChildSpec) throws(DevError) -> SpawnedProcess {
        let output = open(spec.logFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard output >= 0 else {
            throw DevError("cannot write the log file \(spec.logFile): \(String(cString: strerror(errno)))")
        }
        defer { close(output) }
        let arguments = CStringArray([spec.executable] + spec.arguments)
        let environment = CStringArray(spec.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
        let path = CStringArray([spec.executable])
        let folder = CStringArray(spec.folder.map { [$0] } ?? [])
        let groups = spec.runAs?.groups ?? []

        var request = oms_spawn_request()
        request.path = path.first
        request.argv = UnsafePointer(arguments.pointers)
        request.envp = UnsafePointer(environment.pointers)
        request.directory = folder.first
        request.output = output
        request.death_signal = spec.deathSignal
        if let user = spec.runAs {
            request.change_user = 1
            request.uid = user.userID
            request.gid = user.groupID
            request.group_count = Int32(user.groups.count)
        }
        var descriptor: Int32 = -1
        var step: UnsafePointer<CChar>?
        var reason: Int32 = 0
        let pid = groups.withUnsafeBufferPointer { groups in
            request.groups = groups.baseAddress
            let pid = oms_spawn(&request, &descriptor, &step)
            reason = errno
            return pid
        }
        guard pid > 0 else {
            let failed = step.map { String(cString: $0) } ?? "start"
            throw DevError(
                "cannot start \(spec.name): failed to \(failed) (\(spec.executable)): "
                    + String(cString: strerror(reason))
            )
        }
        return SpawnedProcess(pid: pid, descriptor: descriptor)
    }
}

/// A NULL-terminated array of C strings, freed with this object.
private final class CStringArray {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ texts: [String]) {
        count = texts.count
        pointers = .allocate(capacity: count + 1)
        for (index, text) in texts.enumerated() { (pointers + index).initialize(to: strdup(text)) }
        (pointers + count).initialize(to: nil)
    }

    var first: UnsafePointer<CChar>? { pointers[0].map { UnsafePointer($0) } }

    deinit {
        for index in 0..<count { free(pointers[index]) }
        pointers.deallocate()
    }
}
