//! Loops that change what they iterate over, where only CPython sees the change.
//!
//! monty iterates over a list itself as CPython does, but makes a new list of what `enumerate`, `zip`,
//! `reversed`, `map`, `filter` and generator expressions give.

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, Stmt, StmtFor};

/// The builtins whose elements monty computes at once.
pub(super) const LAZY: &[&str] = &["enumerate", "filter", "map", "reversed", "zip"];

/// Methods that change their object.
pub(super) const CHANGING: &[&str] = &[
    "add",
    "append",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
];

/// Whether `stmt` may change what it iterates over, in a way that CPython would see later in the loop.
pub(super) fn seen_only_by_cpython(stmt: &StmtFor) -> bool {
    if !is_lazy(&stmt.iter) {
        return false;
    }
    let mut roots = Roots::default();
    roots.visit_expr(&stmt.iter);
    let mut changes = Changes { roots: roots.0, counter: counter(stmt), found: false };
    changes.visit_body(&stmt.body);
    changes.found
}

fn is_lazy(expr: &Expr) -> bool {
    match expr {
        Expr::Generator(_) => true,
        Expr::Call(call) => call.func.as_name_expr().is_some_and(|name| LAZY.contains(&name.id.as_str())),
        _ => false,
    }
}

/// The `i` of `for i, x in enumerate(xs)`: to assign `xs[i]` changes what the loop has passed already.
fn counter(stmt: &StmtFor) -> Option<&str> {
    let call = stmt.iter.as_call_expr()?;
    let counts_from_zero = call.arguments.len() == 1;
    let enumerate = call.func.as_name_expr().is_some_and(|name| name.id == *"enumerate");
    let first = stmt.target.as_tuple_expr()?.elts.first()?.as_name_expr()?;
    (enumerate && counts_from_zero).then_some(first.id.as_str())
}

#[derive(Default)]
struct Roots<'a>(BTreeSet<&'a str>);

impl<'a> Visitor<'a> for Roots<'a> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Name(name) = expr {
            self.0.insert(name.id.as_str());
        }
        walk_expr(self, expr);
    }
}

struct Changes<'a> {
    roots: BTreeSet<&'a str>,
    counter: Option<&'a str>,
    found: bool,
}

impl<'a> Changes<'a> {
    fn is_root(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Name(name) => self.roots.contains(name.id.as_str()),
            Expr::Attribute(attribute) => self.is_root(&attribute.value),
            Expr::Subscript(subscript) => self.is_root(&subscript.value),
            _ => false,
        }
    }

    fn assigned(&mut self, target: &Expr) {
        match target {
            Expr::Tuple(tuple) => tuple.elts.iter().for_each(|each| self.assigned(each)),
            Expr::List(list) => list.elts.iter().for_each(|each| self.assigned(each)),
            Expr::Subscript(subscript) => {
                let index = subscript.slice.as_name_expr().map(|name| name.id.as_str());
                let passed = self.counter.is_some() && index == self.counter;
                self.found |= self.is_root(&subscript.value) && !passed;
            }
            Expr::Attribute(attribute) => self.found |= self.is_root(&attribute.value),
            _ => {}
        }
    }
}

impl<'a> Visitor<'a> for Changes<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Assign(assign) => assign.targets.iter().for_each(|target| self.assigned(target)),
            Stmt::AnnAssign(assign) => self.assigned(&assign.target),
            Stmt::AugAssign(assign) => {
                self.found |= assign.target.is_name_expr() && self.is_root(&assign.target);
                self.assigned(&assign.target);
            }
            Stmt::For(stmt) => self.assigned(&stmt.target),
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr
            && let Expr::Attribute(method) = &*call.func
            && CHANGING.contains(&method.attr.as_str())
        {
            self.found |= self.is_root(&method.value);
        }
        walk_expr(self, expr);
    }
}
