//! The walk through calls.

use ruff_python_ast::{Expr, ExprAttribute, ExprCall};

use super::bindings::SET_MAKERS;
use super::mutations::{CHANGING, LAZY};
use super::names;
use super::place::Place;
use super::walk::{Checked, Walk, differs};

impl<'a> Walk<'a> {
    pub fn call(&mut self, call: &'a ExprCall, place: Place) -> Checked {
        for keyword in &call.arguments.keywords {
            let print = call.func.as_name_expr().is_some_and(|name| name.id == *"print");
            if print && keyword.arg.as_ref().is_some_and(|name| name == "file") {
                return differs("`print` to a file");
            }
            self.expression(&keyword.value, Place::Anywhere)?;
        }
        match &*call.func {
            Expr::Name(name) if LAZY.contains(&name.id.as_str()) => self.lazy(&name.id, call, place),
            Expr::Name(name) if self.bindings.is_builtin(&name.id) => self.builtin(&name.id, call, place),
            Expr::Name(name) if self.takers.contains(name.id.as_str()) => self.arguments(call, Place::Taken),
            Expr::Name(_) => {
                self.eager_calls |= self.in_eager > 0;
                self.arguments(call, Place::Anywhere)
            }
            Expr::Attribute(method) => self.method(method, call),
            other => {
                self.eager_calls |= self.in_eager > 0;
                self.expression(other, Place::Anywhere)?;
                self.arguments(call, Place::Anywhere)
            }
        }
    }

    fn arguments(&mut self, call: &'a ExprCall, place: Place) -> Checked {
        self.each(&call.arguments.args, place)
    }

    /// `map` and the like, which monty computes at once.
    fn lazy(&mut self, name: &str, call: &'a ExprCall, place: Place) -> Checked {
        if !place.takes_lazy() {
            return differs(format!("what `{name}` gives, where it is kept"));
        }
        let calls_back = matches!(name, "map" | "filter");
        let (function, iterables) = match &*call.arguments.args {
            [function, iterables @ ..] if calls_back => (Some(function), iterables),
            iterables => (None, iterables),
        };
        if let Some(function) = function {
            self.facts.eager |= place.shows_eagerness();
            // A function of the program's own may print, between what the loop prints.
            let silent = match function {
                Expr::Name(name) => self.bindings.is_builtin(&name.id),
                Expr::Lambda(_) | Expr::NoneLiteral(_) => true,
                _ => false,
            };
            if place.shows_eagerness() && !silent {
                return differs(format!("a loop over `{name}` with a function of the program's own"));
            }
            self.expression(function, Place::Anywhere)?;
        }
        // Where the whole is taken in any order its parts are not: they are joined in order.
        let place = if place == Place::TakenInAnyOrder { Place::Taken } else { place };
        let place = if place == Place::Searched { Place::Looped } else { place };
        self.each(iterables, place)
    }

    fn builtin(&mut self, name: &str, call: &'a ExprCall, place: Place) -> Checked {
        let arguments = &call.arguments;
        let one = arguments.len() == 1;
        let place = match name {
            "list" | "tuple" if matches!(place, Place::TakenInAnyOrder | Place::Searched) => {
                Place::TakenInAnyOrder
            }
            "list" | "tuple" | "dict" | "sum" => Place::Taken,
            "set" | "frozenset" => Place::TakenInAnyOrder,
            "sorted" if arguments.find_keyword("key").is_none() => Place::TakenInAnyOrder,
            "sorted" => Place::Taken,
            "min" | "max" if one => Place::TakenInAnyOrder,
            "min" | "max" if arguments.args.len() == 1 => Place::Taken,
            "any" | "all" => Place::Searched,
            "len" | "bool" => Place::Asked,
            // The second argument is a type, and may be one that is refused elsewhere.
            "isinstance" if arguments.args.len() == 2 => {
                return self.expression(&arguments.args[0], Place::Asked);
            }
            "type" if !one => return differs("`type` with more than one argument"),
            "print" => {
                self.note_effect();
                if self.in_eager > 0 {
                    return differs("`print` among elements computed early");
                }
                Place::Anywhere
            }
            "type" => Place::Anywhere,
            "round" | "divmod" => {
                if name == "divmod" || !one {
                    self.wrong_for_floats = Some("`divmod`, or `round` to digits,");
                }
                Place::Anywhere
            }
            "pow" => {
                self.wrong_for_floats = Some("`pow`");
                Place::Anywhere
            }
            _ => {
                self.expression(&call.func, Place::Anywhere)?;
                Place::Anywhere
            }
        };
        self.arguments(call, place)
    }

    fn method(&mut self, method: &'a ExprAttribute, call: &'a ExprCall) -> Checked {
        let name = method.attr.as_str();
        if CHANGING.contains(&name) {
            self.note_effect();
            if self.in_eager > 0 {
                return differs(format!("`{name}` among elements computed early"));
            }
        }
        if self.bindings.is_set(&method.value) {
            if matches!(name, "pop") || !names::has_attribute("set", name).unwrap_or(false) {
                return differs(format!("`{name}` of a set"));
            }
            self.expression(&method.value, Place::Asked)?;
            let takes_sets = SET_MAKERS.contains(&name) || name.starts_with("is") || name == "update";
            return self.arguments(call, if takes_sets { Place::TakenInAnyOrder } else { Place::Anywhere });
        }
        self.attribute(method, Place::Anywhere)?;
        let place = match name {
            "join" | "extend" | "update" => Place::Taken,
            _ => Place::Anywhere,
        };
        self.arguments(call, place)
    }
}
