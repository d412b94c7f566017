//! `pennypost node`: the processes that take part, and their drain.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use super::output::table;
use crate::model::NodeId;
use crate::outbox::NodeView;
use crate::serve::House;

/// Show the running processes, and keep one from taking deliveries
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Every process with its heartbeat and what it holds
    List,
    /// Let a node take no more deliveries; it gives back what it has not begun and goes on accepting mail
    Drain {
        /// The id, `nod_..`
        node: NodeId,
    },
    /// Let a drained node take deliveries again
    Resume {
        /// The id, `nod_..`
        node: NodeId,
    },
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or there is no such node.
pub async fn run(context: &Context, command: NodeCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: NodeCommand) -> anyhow::Result<()> {
    match command {
        NodeCommand::List => {
            let nodes = house.outbox.nodes().await?.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
            let columns = [
                ("ID", "/id"),
                ("HOST", "/host"),
                ("STATE", "/state"),
                ("STARTED", "/started_at"),
                ("HEARTBEAT", "/heartbeat_at"),
                ("CLAIMS", "/claims"),
                ("DRAINED BY", "/drained_by"),
            ];
            context.output.show(&json!({"data": nodes, "next_cursor": null}), || table(&columns, &nodes))
        }
        NodeCommand::Drain { node } => tell(context, node, house.outbox.drain_node(node, &context.actor()).await?, "takes no more deliveries"),
        NodeCommand::Resume { node } => tell(context, node, house.outbox.resume_node(node, &context.actor()).await?, "takes deliveries again"),
    }
}

fn tell(context: &Context, id: NodeId, node: Option<NodeView>, what: &str) -> anyhow::Result<()> {
    let Some(node) = node else { return Err(Failure::new(format!("there is no node {id}")).fix("`pennypost node list` shows all").into()) };
    context.output.show(&node, || format!("{id} on {} {what}; it holds {} now", node.host, node.claims))
}
