import FoundationEssentials
import OMSCore
import OMSModel
import OMSRuntime

/// What ended the processes before this one: the black box and the list beside it, in the registry's own folder.
final class PoisonFile {
    private let box: BlackBox
    private(set) var list: PoisonList
    /// What the process before was handling when it died.
    let suspect: String?

    /// - Throws: `Incarnation.Failure` if the folder cannot be written.
    init(folder: String, at now: Timestamp) throws {
        let path = folder + "/poison"
        let (box, notes) = try BlackBox.open(folder: folder)
        self.box = box
        let bytes = (try? Data(contentsOf: URL(filePath: path))) ?? Data()
        list = PoisonList(String(decoding: bytes.prefix(65_536), as: UTF8.self))
        // A process that was killed from outside says nothing of what it was doing.
        suspect = notes.first { $0.isTrapped }?.text
        guard let suspect else { return }
        list.died(handling: suspect, at: now)
        do {
            try Data(list.text.utf8).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw Incarnation.Failure(description: "cannot write '\(path)': \(error)")
        }
    }

    /// - Returns: false: it is not to be handled.
    func begin(_ name: String, at now: Timestamp) -> Bool {
        if list.isSetAside(name, at: now) { return false }
        box.handle(name)
        return true
    }

    func end() { box.clear() }

    /// By the thread that handles, before it does.
    func watchThisThread() { box.markTraps(slot: 0) }
}
