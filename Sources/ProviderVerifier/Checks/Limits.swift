import Foundation
import OMSModel
import OMSRuntime

/// Limits, restart, and the figures at the end.
extension Verification {
    func checkLimits(_ work: Work) async throws {
        let big = body(
            newID(), work.service, work.short, more: ["input": .string(String(repeating: "x", count: 300_000))])
        let large = try await ask("POST", "/jobs/", json: big)
        expect(.bodyLimit, large.status == 413, "300 kB gave \(large.status)", large)
        let deep = String(repeating: "[", count: 20_000) + String(repeating: "]", count: 20_000)
        let nested = try await ask("POST", "/jobs/", body: Array(deep.utf8))
        expect(
            .refusals, [400, 413, 422].contains(nested.status), "20,000 levels of JSON gave \(nested.status)", nested)
        expect(.clientErrors, nested.status < 500, "20,000 levels of JSON gave \(nested.status)", nested)
        let alive = try await ask("GET", "/status")
        expect(.startedAt, alive["started_at"] == status["started_at"], "it was started again by a bad request", alive)
        let number = newID()
        let job = work.short.configured("timeout_s", 66)
        // 66.0 has to be written by hand: an encoder makes 66 of it.
        let text = body(number, work.service, job).text.replacing(
            "\"timeout_s\":66", with: "\"timeout_s\":66.0")
        let float = try await ask("POST", "/jobs/", body: Array(text.utf8))
        if float.isSuccess { submitted.append((number, tenant)) }
        expect(.jsonForm, float.status == 201, "timeout_s 66.0 gave \(float.status); it is an integer", float)
        let again = try await ask("POST", "/jobs/", json: body(number, work.service, job))
        expect(.conflict, again.status == 200, "66 after 66.0 gave \(again.status); they are the same request", again)
    }

    func checkRestart(_ work: Work) async throws {
        guard let command = options.restartCommand else {
            return skip(.restart, because: "no --restart-command was given")
        }
        let (ended, open) = (newID(), newID())
        _ = try await submit(ended, work.service, work.short)
        _ = try await watch(ended, seconds: 30, until: Shape.terminal.contains)
        let taken = try await submit(open, work.service, work.long ?? work.short)
        // The restart follows at once: what was answered with 201 has to be on disk by then.
        let code = await Shell.run(command)
        guard code == 0 else { throw Stop(reason: "the restart command ended with status \(code)") }
        var now: Reply?
        let deadline = MonotonicClock.milliseconds + 30_000
        while now == nil, MonotonicClock.milliseconds < deadline {
            requests += 1
            let reply = await client.send("GET", "/status")
            if reply.status == 200 { now = reply } else { try await pause(100) }
        }
        guard let now else { throw Stop(reason: "it did not answer within 30 s after the restart") }
        expect(.startedAt, now["started_at"] != status["started_at"], "started_at did not change at the restart", now)
        for id in [ended, open] {
            let reply = try await read(id)
            expect(.restart, reply.status == 200, "after the restart the job is \(reply.status)", taken, reply)
        }
        let again = try await submit(open, work.service, work.long ?? work.short)
        expect(.idempotent, again.status == 200, "after the restart the same request gave \(again.status)", again)
        status = now.json ?? .null
    }

    /// Everything that ended today must have been counted: at least the jobs that we saw end.
    func checkFigures() async throws {
        let reply = try await ask("GET", "/status")
        checkSum(reply)
        let day = reply["time"]?.stringValue?.prefix(10)
        let mine = watched.values.filter { $0.final != nil && $0.body["finished"]?.stringValue?.prefix(10) == day }
        let counted = reply["jobs"]?["executed_today"]?.intValue ?? 0
        expect(
            .figures, counted >= Int64(mine.count), "executed_today is \(counted), but we saw \(mine.count) jobs end",
            reply)
        expect(.fastStatus, reply.exchange.milliseconds <= 1_000, "it took \(reply.exchange.milliseconds) ms", reply)
    }
}

extension JSONValue {
    fileprivate var text: String {
        String(decoding: (try? JSONEncoder().encode(self)) ?? Data(), as: UTF8.self)
    }
}

/// Runs a command of the operator's own, given on the command line.
enum Shell {
    /// - Returns: its exit status; 127 when it cannot be started.
    static func run(_ command: String) async -> Int32 {
        await withCheckedContinuation { continuation in
            // Not Foundation's Process: on Linux it waits for all descendants, and a restarted provider lives on.
            let thread = Thread { continuation.resume(returning: spawnAndWait(command)) }
            thread.start()
        }
    }

    private static func spawnAndWait(_ command: String) -> Int32 {
        let texts: [String] = ["/bin/sh", "-c", command]
        var arguments: [UnsafeMutablePointer<CChar>?] = texts.map { (text: String) in strdup(text) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        // A restarted provider outlives us and must hold nothing open that we have, or were given.
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
            if let descriptor = Int32(name), descriptor > 2 { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        }
        guard posix_spawn(&pid, "/bin/sh", nil, nil, &arguments, environ) == 0 else { return 127 }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 { if errno != EINTR { return 127 } }
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f
    }
}
