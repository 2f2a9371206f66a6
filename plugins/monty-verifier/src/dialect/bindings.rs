//! What a program binds: every name, and those that hold sets.

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{Visitor, walk_except_handler, walk_expr, walk_parameter, walk_stmt};
use ruff_python_ast::{Alias, ExceptHandler, Expr, Operator, Parameter, Stmt};

/// Names that a program binds, without regard to scopes.
#[derive(Default)]
pub(super) struct Bindings<'a> {
    /// All.
    pub names: BTreeSet<&'a str>,
    /// Those bound to a set somewhere.
    pub sets: BTreeSet<&'a str>,
}

impl<'a> Bindings<'a> {
    pub fn of(body: &'a [Stmt], variables: &'a [String]) -> Self {
        let mut names = Names::default();
        names.visit_body(body);
        names.0.extend(variables.iter().map(String::as_str));
        let mut sets = Sets::default();
        // A name may get its set from a name that is found to hold one later.
        loop {
            let known = sets.0.len();
            sets.visit_body(body);
            if sets.0.len() == known {
                return Self { names: names.0, sets: sets.0 };
            }
        }
    }

    /// Whether `expr` makes a set, or is a name that may hold one.
    pub fn is_set(&self, expr: &Expr) -> bool {
        is_set(expr, &self.sets)
    }

    /// Whether `name` is CPython's builtin throughout.
    pub fn is_builtin(&self, name: &str) -> bool {
        !self.names.contains(name) && super::is_cpython_builtin(name)
    }
}

/// Methods of sets that return sets.
pub(super) const SET_MAKERS: &[&str] =
    &["union", "intersection", "difference", "symmetric_difference", "copy"];

fn is_set(expr: &Expr, sets: &BTreeSet<&str>) -> bool {
    match expr {
        Expr::Set(_) | Expr::SetComp(_) => true,
        Expr::Name(name) => sets.contains(name.id.as_str()),
        Expr::Call(call) => match &*call.func {
            Expr::Name(name) => matches!(name.id.as_str(), "set" | "frozenset"),
            Expr::Attribute(method) => {
                SET_MAKERS.contains(&method.attr.as_str()) && is_set(&method.value, sets)
            }
            _ => false,
        },
        Expr::BinOp(operation) => {
            is_set_operator(operation.op) && (is_set(&operation.left, sets) || is_set(&operation.right, sets))
        }
        Expr::If(choice) => is_set(&choice.body, sets) || is_set(&choice.orelse, sets),
        Expr::BoolOp(operation) => operation.values.iter().any(|value| is_set(value, sets)),
        _ => false,
    }
}

pub(super) fn is_set_operator(operator: Operator) -> bool {
    matches!(operator, Operator::BitOr | Operator::BitAnd | Operator::BitXor | Operator::Sub)
}

#[derive(Default)]
struct Names<'a>(BTreeSet<&'a str>);

impl<'a> Visitor<'a> for Names<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => _ = self.0.insert(function.name.as_str()),
            Stmt::ClassDef(class) => _ = self.0.insert(class.name.as_str()),
            Stmt::Import(import) => import.names.iter().for_each(|alias| self.imported(alias)),
            Stmt::ImportFrom(import) => import.names.iter().for_each(|alias| self.imported(alias)),
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Name(name) = expr
            && name.ctx.is_store()
        {
            self.0.insert(name.id.as_str());
        }
        walk_expr(self, expr);
    }

    fn visit_parameter(&mut self, parameter: &'a Parameter) {
        self.0.insert(parameter.name.as_str());
        walk_parameter(self, parameter);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(bound) = handler;
        self.0.extend(bound.name.as_ref().map(|name| name.as_str()));
        walk_except_handler(self, handler);
    }
}

impl<'a> Names<'a> {
    fn imported(&mut self, alias: &'a Alias) {
        self.0.insert(alias.asname.as_ref().unwrap_or(&alias.name).as_str());
    }
}

#[derive(Default)]
struct Sets<'a>(BTreeSet<&'a str>);

impl<'a> Visitor<'a> for Sets<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let (targets, value) = match stmt {
            Stmt::Assign(assign) => (assign.targets.iter().collect(), Some(&*assign.value)),
            Stmt::AnnAssign(assign) => (vec![&*assign.target], assign.value.as_deref()),
            Stmt::AugAssign(assign) => (vec![&*assign.target], Some(&*assign.value)),
            _ => (vec![], None),
        };
        if value.is_some_and(|value| is_set(value, &self.0)) {
            let names = targets.iter().filter_map(|target| target.as_name_expr());
            self.0.extend(names.map(|name| name.id.as_str()));
        }
        walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Named(named) = expr
            && is_set(&named.value, &self.0)
            && let Expr::Name(name) = &*named.target
        {
            self.0.insert(name.id.as_str());
        }
        walk_expr(self, expr);
    }
}
