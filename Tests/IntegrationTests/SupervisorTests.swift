import Foundation
import Glibc
import OMSDev
import OMSRuntime
import Testing

/// Children that are tiny shell scripts.
@Suite struct SupervisorTests {
    /// A supervisor with a folder for logs; everything is gone at the end.
    private func with(_ body: (ProcessSupervisor, String, AsyncStream<SupervisorEvent>) async throws -> Void)
        async throws
    {
        let folder = try DataFolder(nil)
        let (events, feed) = AsyncStream.makeStream(of: SupervisorEvent.self)
        let loop = EventLoop(name: "supervisor")
        let supervisor = ProcessSupervisor(loop: loop) { feed.yield($0) }
        do {
            try await body(supervisor, folder.path, events)
        } catch {
            Issue.record(error)
        }
        await supervisor.stopAll()
        loop.shutdown()
        folder.unlock()
        folder.remove()
    }

    private func script(_ text: String, in folder: String, name: String = "child") -> ChildSpec {
        ChildSpec(name: name, executable: "/bin/sh", arguments: ["-c", text], logFile: folder + "/logs/\(name).log")
    }

    @Test(.timeLimit(.minutes(1))) func aKilledChildIsStartedAgainAndCounted() async throws {
        try await with { supervisor, folder, events in
            try await supervisor.start(script("exec sleep 1000", in: folder))
            let first = await supervisor.pid(of: "child")
            await supervisor.kill("child", SIGKILL)
            var seen: [String] = []
            for await event in events {
                switch event {
                case .started(_, let pid, let restarts):
                    seen.append("started \(restarts)")
                    if restarts == 1 { #expect(pid != first) }
                case .died(_, let status, let delay):
                    seen.append("died \(status.signal ?? 0)")
                    #expect(delay == .milliseconds(200))
                case .stopped, .restartFailed: Issue.record("unexpected \(event)")
                }
                if seen.count == 3 { break }
            }
            #expect(seen == ["started 0", "died 9", "started 1"])
            #expect(await supervisor.restarts(of: "child") == 1)
        }
    }

    @Test(.timeLimit(.minutes(1))) func theDelayBeforeARestartDoubles() async throws {
        try await with { supervisor, folder, events in
            try await supervisor.start(script("exit 3", in: folder))
            var delays: [Duration] = []
            for await case .died(_, let status, let delay) in events {
                #expect(status.code == 3)
                if let delay { delays.append(delay) }
                if delays.count == 3 { break }
            }
            #expect(delays == [.milliseconds(200), .milliseconds(400), .milliseconds(800)])
        }
    }

    @Test(.timeLimit(.minutes(1))) func aChildThatIgnoresSIGTERMIsKilled() async throws {
        try await with { supervisor, folder, events in
            var spec = script("trap '' TERM; echo armed; while true; do sleep 1; done", in: folder)
            spec.stop = [.init(SIGTERM, patience: .milliseconds(300))]
            try await supervisor.start(spec)
            let log = spec.logFile
            let isArmed = try await Attempts.until(deadline: .seconds(10)) {
                DataFolder.lastLine(of: log) == "armed" ? true : nil
            }
            #expect(isArmed == true)
            await supervisor.stop("child")
            for await case .stopped(_, let status) in events {
                #expect(status.signal == SIGKILL)
                break
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func childrenInheritNoDescriptorsNoIgnoredSignalsAndNoEnvironment() async throws {
        setenv("OMS_TEST_SECRET", "x", 1)
        signal(SIGPIPE, SIG_IGN)
        try await with { supervisor, folder, _ in
            let open = open("/dev/null", O_RDONLY)  // not close-on-exec, on purpose
            defer { close(open) }
            let spec = script("ls /proc/self/fd | wc -l; echo \"[$OMS_TEST_SECRET]\"", in: folder)
            let listed = try await supervisor.run(spec, deadline: .seconds(20))
            #expect(listed.isSuccess)
            let lines = (DataFolder.read(spec.logFile) ?? "").split(separator: "\n").map(String.init)
            // 0, 1, 2 and the one that ls itself reads the folder with
            #expect(lines == ["4", "[]"])

            // Not asked of the shell, which blocks signals of its own now and then.
            let masks = ChildSpec(
                name: "masks", executable: "/bin/grep", arguments: ["-hE", "SigBlk|SigIgn", "/proc/self/status"],
                logFile: folder + "/logs/masks.log")
            let read = try await supervisor.run(masks, deadline: .seconds(20))
            #expect(read.isSuccess)
            let values = (DataFolder.read(masks.logFile) ?? "").split(separator: "\n").compactMap {
                $0.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) }
            }
            #expect(values.count == 2)
            // But for glibc's own two, which no program can change, if whoever runs the tests ignores them.
            for value in values { #expect(value & ~0x1_8000_0000 == 0) }
        }
    }

    @Test(.timeLimit(.minutes(1))) func aProgramThatIsNotThereIsNamed() async throws {
        try await with { supervisor, folder, _ in
            let spec = ChildSpec(
                name: "ghost", executable: "/no/such/program", arguments: [], logFile: folder + "/logs/ghost.log")
            do {
                try await supervisor.start(spec)
                Issue.record("started")
            } catch {
                #expect("\(error)" == "cannot start ghost: failed to run (/no/such/program): No such file or directory")
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func laterStagesAreStoppedFirst() async throws {
        try await with { supervisor, folder, events in
            for (name, stage) in [("database", 0), ("broker", 1), ("service", 2)] {
                var spec = script("exec sleep 1000", in: folder, name: name)
                spec.stage = stage
                try await supervisor.start(spec)
            }
            await supervisor.stopAll()
            var order: [String] = []
            for await case .stopped(let name, _) in events {
                order.append(name)
                if order.count == 3 { break }
            }
            #expect(order == ["service", "broker", "database"])
        }
    }
}
