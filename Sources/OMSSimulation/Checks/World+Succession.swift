import OMSCore
import OMSModel
import OMSProtocol

extension World {
    /// P2: what must hold at the moment at which a fleet begins a Work Manager.
    func checkSuccession(_ tenant: TenantID, _ epoch: Int, on host: Node) {
        let row = database.epochs[tenant]?.last { $0.epoch == epoch }
        // Opened before the backup was put back; its start was under way.
        if row == nil, databaseState.isRestored { return }
        if row?.fleet != host.id || row?.boot != host.boot {
            checker.violated(
                .wrongProcess, at: now,
                "epoch \(epoch) of \(tenant) begins on \(host.id), process \(host.boot); it was opened for "
                    + "\(row?.fleet.text ?? "nobody"), process \(row?.boot ?? 0)")
        }
        guard epoch > 1 else { return }
        // Numbers that no row has were skipped (a registry died between a seal and its epoch), or are what a restored
        // backup does not remember.
        let last = database.epochs[tenant]?.last { $0.epoch < epoch }
        let before = SimDatabase.EpochKey(tenant: tenant, epoch: last?.epoch ?? 0)
        let hasEnd = last.map { $0.ended != nil } ?? true
        let receipt = database.receipts[before]
        if last != nil, !hasEnd || receipt == nil {
            return checker.violated(
                .noReceipt, at: now,
                "epoch \(epoch) of \(tenant) begins, epoch \(before.epoch) has \(hasEnd ? "no receipt" : "no end")")
        }
        for node in nodes where node.role == .gateway && mayAct(node) && node.ledger.fences[tenant] ?? 0 < epoch {
            checker.violated(
                .notSealed, at: now,
                "epoch \(epoch) of \(tenant) begins, \(node.id) is fenced at \(node.ledger.fences[tenant] ?? 0)")
        }
        checkAccounts(tenant, epoch)
        // An older one, replaced by force, may live on: the door refuses it.
        guard let receipt else { return }
        if receipt.isRecovery,
            let other = checker.hosts(of: tenant).first(where: { (before.epoch..<epoch).contains($0.epoch) })
        {
            checker.violated(
                .livesOn, at: now,
                "epoch \(epoch) of \(tenant) recovers epoch \(other.epoch), which lives on "
                    + "\(setting.nodes[other.fleet].id)")
        }
        guard receipt.isGraceful else { return }
        for (id, end) in receipt.jobs.sorted(by: { $0.key < $1.key }) where end == "adopted" {
            guard let job = database.jobs[id] else { continue }
            if !receipt.isFinal, database.runs[job.record.run]?.record.plan?.onReplace == .adopt { continue }
            checker.violated(
                .leftBehind, at: now,
                "epoch \(before.epoch) of \(tenant) says that it drained, and left job \(id), which is not to be adopted"
            )
        }
    }

    /// A process that runs, has providers and can hear: no excuse for it.
    private func mayAct(_ node: Node) -> Bool {
        node.isAlive && !node.isPaused && !node.attached.isEmpty && node.connection != nil
            && !node.isPartitioned(at: now)
    }

    private func checkAccounts(_ tenant: TenantID, _ epoch: Int) {
        let receipts = database.receipts.merging(database.pruned.receipts) { present, _ in present }.filter {
            $0.key.tenant == tenant
        }.map(\.value)
        for provider in setting.providers.map(\.id) {
            for (id, job) in providers[provider]?.jobs ?? [:]
            where job.request.tenant == tenant && job.epoch < epoch && !job.state.isTerminal {
                if database.jobs[id] != nil || database.pruned.jobs[id] != nil { continue }
                if database.pruned.namedTooLate.contains(id) { continue }
                if receipts.contains(where: { $0.jobs[id] != nil }) { continue }
                // Who sent it may be away; it names it when it comes back (docs/internals/replacement.md).
                guard nodes.contains(where: { $0.role == .gateway && mayAct($0) && $0.ledger.knows(id) }) else {
                    continue
                }
                checker.violated(
                    .unaccounted, at: now,
                    "epoch \(epoch) of \(tenant) begins, and \(provider) has job \(id) of epoch \(job.epoch) "
                        + "(\(job.state.rawValue)), which is in no row and no receipt")
            }
        }
    }
}
