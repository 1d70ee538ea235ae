import OMSModel
import SQLite

/// What the provider remembers besides its jobs: ids that must not run (again), and the highest epoch of each tenant.
/// All of it is bounded, so that no caller can fill the disk with it; the oldest goes first.
extension JobStore {
    static let tombstoneSeconds = 3_600
    static let maximumTombstones = 10_000
    static let purgedSeconds = 7 * 86_400
    static let maximumPurged = 100_000
    static let maximumTenants = 100_000

    static let memoryTables =
        """
        CREATE TABLE IF NOT EXISTS tombstone (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS tombstone_at ON tombstone (at);
        CREATE TABLE IF NOT EXISTS purged (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS purged_at ON purged (at);
        CREATE TABLE IF NOT EXISTS fence (tenant TEXT PRIMARY KEY, epoch INTEGER NOT NULL, at INTEGER NOT NULL)
          WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS fence_at ON fence (at);
        """

    // MARK: Stops that came before their submits

    func bury(_ id: JobID, now: Timestamp, keep: Int = maximumTombstones) throws {
        try database.transaction {
            try database.run(
                "INSERT OR REPLACE INTO tombstone (id, at) VALUES (?, ?)",
                [.text(id.description), .int(now.milliseconds)])
            try forgetOldest("tombstone", key: "id", keep: keep)
        }
    }

    func isBuried(_ id: JobID, now: Timestamp) throws -> Bool {
        let oldest = now.advanced(bySeconds: -Self.tombstoneSeconds)
        return try !database.query(
            "SELECT 1 FROM tombstone WHERE id = ? AND at > ?", [.text(id.description), .int(oldest.milliseconds)]
        ) { _ in true }.isEmpty
    }

    // MARK: Jobs that were here

    /// Removes at most `limit` jobs that ended before `time` and remembers their ids; returns how many.
    func purge(finishedBefore time: Timestamp, limit: Int, now: Timestamp) throws -> Int {
        try database.transaction {
            let old = "SELECT id FROM job WHERE finished < ?1 ORDER BY finished LIMIT ?2"
            let values: [SQLiteValue] = [.int(time.milliseconds), .int(Int64(limit))]
            try database.run(
                "INSERT OR REPLACE INTO purged (id, at) SELECT id, ?3 FROM job WHERE id IN (\(old))",
                values + [.int(now.milliseconds)])
            let count = try database.run("DELETE FROM job WHERE id IN (\(old))", values)
            if count > 0 { try forgetOldest("purged", key: "id", keep: Self.maximumPurged) }
            return count
        }
    }

    func wasPurged(_ id: JobID) throws -> Bool {
        try !database.query("SELECT 1 FROM purged WHERE id = ?", [.text(id.description)]) { _ in true }.isEmpty
    }

    /// Forgets what has been remembered long enough.
    func forgetOld(now: Timestamp) throws {
        for (table, seconds) in [("tombstone", Self.tombstoneSeconds), ("purged", Self.purgedSeconds)] {
            let oldest = now.advanced(bySeconds: -seconds)
            try database.run("DELETE FROM \(table) WHERE at <= ?", [.int(oldest.milliseconds)])
        }
    }

    // MARK: Fencing

    func epoch(of tenant: TenantID) throws -> Int64? {
        try database.query("SELECT epoch FROM fence WHERE tenant = ?", [.text(tenant.text)]) { $0.int(0) }.first
    }

    func raise(_ tenant: TenantID, to epoch: Int64, now: Timestamp, keep: Int = maximumTenants) throws {
        try database.transaction {
            try database.run(
                """
                INSERT INTO fence (tenant, epoch, at) VALUES (?1, ?2, ?3)
                ON CONFLICT (tenant) DO UPDATE SET epoch = max(epoch, ?2), at = ?3
                """, [.text(tenant.text), .int(epoch), .int(now.milliseconds)])
            try forgetOldest("fence", key: "tenant", keep: keep)
        }
    }

    private func forgetOldest(_ table: String, key: String, keep: Int) throws {
        try database.run(
            "DELETE FROM \(table) WHERE \(key) IN (SELECT \(key) FROM \(table) ORDER BY at DESC LIMIT -1 OFFSET ?)",
            [.int(Int64(keep))])
    }
}
