//! A short history, cut at every write and every sync.

use berth_placement::{Allocation, ClassId, ConsumerId, Row};

use crate::clients::{OnConsumers, OnTopology, Operation};
use crate::disk::{Fault, Survivors};
use crate::machine::Machine;

const SURVIVORS: [Survivors; 4] =
    [Survivors::None, Survivors::All, Survivors::LastTorn, Survivors::NotTheFirst];

#[test]
fn a_cut_at_any_change_of_the_disk_loses_no_acknowledged_change() {
    let changes = history(None);
    assert!(changes > 20, "it writes {changes} times");
    let faults = SURVIVORS.map(Fault::PowerCut).into_iter().chain([Fault::Kill, Fault::Broken, Fault::Full]);
    for fault in faults {
        for after in 0..changes {
            history(Some((after, fault)));
        }
    }
}

/// The same operations always, with one fault; returns how often the disk was changed.
fn history(fault: Option<(u32, Fault)>) -> u32 {
    let machine = Machine::new(0, false, false);
    let before = machine.disk.changes();
    if let Some((after, fault)) = fault {
        machine.disk.arm(after, fault);
    }
    let take = |consumer, amount| {
        let allocation = Allocation { row: Row(1), class: ClassId::VCPU, amount };
        Operation::OnConsumers(OnConsumers::Claim(ConsumerId(consumer), vec![allocation]))
    };
    let release = |consumer| Operation::OnConsumers(OnConsumers::Release(ConsumerId(consumer)));
    let add = |number| Operation::OnTopology(OnTopology::Add(number, None));
    let grow = Operation::OnTopology(OnTopology::SetInventory(Row(1), ClassId::VCPU, Some(12)));
    for (operation, commits) in
        [(take(100, 5), true), (take(101, 3), false), (release(100), true), (add(5), true), (grow, false)]
    {
        machine.carry_on(&operation, commits);
    }
    let changes = machine.disk.changes() - before;
    machine.settle();
    u32::try_from(changes).expect("it is short")
}
