//! The walk through expressions.

use ruff_python_ast::{
    CmpOp, Comprehension, Expr, ExprAttribute, ExprCompare, ExprName, FStringPart, InterpolatedStringElement,
    Number, Operator, UnaryOp,
};

use super::bindings::is_set_operator;
use super::mutations::LAZY;
use super::names;
use super::place::Place;
use super::walk::{Checked, LARGE_INTEGER, Walk, differs};

impl<'a> Walk<'a> {
    pub fn expression(&mut self, expr: &'a Expr, place: Place) -> Checked {
        self.enter_expression()?;
        let checked = self.any_expression(expr, place);
        self.expressions -= 1;
        checked
    }

    fn any_expression(&mut self, expr: &'a Expr, place: Place) -> Checked {
        if self.bindings.is_set(expr) && !place.takes_sets() {
            return differs("a set where its order, or what becomes of it, may show");
        }
        match expr {
            Expr::Name(name) => self.name(name),
            Expr::Attribute(attribute) => self.attribute(attribute, Place::Anywhere),
            Expr::Call(call) => self.call(call, place),
            Expr::Compare(compare) => self.comparison(compare),
            Expr::BoolOp(operation) => {
                operation.values.iter().try_for_each(|value| self.expression(value, place))
            }
            Expr::UnaryOp(operation) => {
                let place = if operation.op == UnaryOp::Not { Place::Asked } else { Place::Anywhere };
                self.expression(&operation.operand, place)
            }
            Expr::BinOp(operation) => {
                self.operator(operation.op, &operation.right);
                let sets = is_set_operator(operation.op) && self.bindings.is_set(expr);
                let place = if sets { Place::Asked } else { Place::Anywhere };
                self.expression(&operation.left, place)?;
                self.expression(&operation.right, place)
            }
            Expr::If(choice) => {
                self.expression(&choice.test, Place::Asked)?;
                self.expression(&choice.body, place)?;
                self.expression(&choice.orelse, place)
            }
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    self.parameters(parameters)?;
                }
                self.expression(&lambda.body, Place::Anywhere)
            }
            Expr::ListComp(comp) => self.comprehension(&comp.generators, place, &[&comp.elt]),
            Expr::SetComp(comp) => self.comprehension(&comp.generators, Place::TakenInAnyOrder, &[&comp.elt]),
            Expr::DictComp(comp) => match &comp.key {
                Some(key) => self.comprehension(&comp.generators, Place::Anywhere, &[key, &comp.value]),
                None => differs("`**` in a comprehension"),
            },
            Expr::Generator(comp) => {
                if !place.takes_lazy() {
                    return differs("a generator expression that is kept");
                }
                let eager = usize::from(place.shows_eagerness());
                self.facts.eager |= eager > 0;
                self.in_eager += eager;
                let checked = self.comprehension(&comp.generators, place, &[&comp.elt]);
                self.in_eager -= eager;
                checked
            }
            Expr::Dict(dict) => dict.items.iter().try_for_each(|item| {
                item.key.iter().try_for_each(|key| self.expression(key, Place::Anywhere))?;
                self.expression(&item.value, Place::Anywhere)
            }),
            Expr::Set(set) => self.each(&set.elts, Place::Anywhere),
            Expr::List(list) => self.each(&list.elts, Place::Anywhere),
            Expr::Tuple(tuple) => self.each(&tuple.elts, Place::Anywhere),
            Expr::Starred(starred) => self.expression(&starred.value, Place::Taken),
            Expr::Subscript(subscript) => {
                self.expression(&subscript.value, Place::Anywhere)?;
                self.expression(&subscript.slice, Place::Anywhere)
            }
            Expr::Slice(slice) => [&slice.lower, &slice.upper, &slice.step]
                .into_iter()
                .flatten()
                .try_for_each(|part| self.expression(part, Place::Anywhere)),
            Expr::FString(string) => string.value.iter().try_for_each(|part| match part {
                FStringPart::Literal(_) => Ok(()),
                FStringPart::FString(string) => self.interpolations(string.elements.iter()),
            }),
            Expr::Named(named) if self.in_comprehension == 0 => {
                self.target(&named.target)?;
                self.expression(&named.value, Place::Named)
            }
            Expr::NumberLiteral(literal) => {
                match &literal.value {
                    Number::Complex { .. } => return differs("complex numbers"),
                    Number::Float(_) => self.floats = true,
                    Number::Int(int) if int.as_u64().is_none_or(|int| int > 1 << 53) => {
                        self.wrong_for_floats = Some(LARGE_INTEGER);
                    }
                    Number::Int(_) => {}
                }
                Ok(())
            }
            Expr::StringLiteral(_)
            | Expr::BooleanLiteral(_)
            | Expr::NoneLiteral(_)
            | Expr::EllipsisLiteral(_) => Ok(()),
            Expr::BytesLiteral(_) => differs("bytes"),
            Expr::Yield(_) | Expr::YieldFrom(_) => differs("generators"),
            Expr::Await(_) => differs("`await`"),
            Expr::Named(_) => differs("`:=` in a comprehension"),
            Expr::TString(_) | Expr::IpyEscapeCommand(_) => differs("an expression of this kind"),
        }
    }

    pub fn each(&mut self, exprs: &'a [Expr], place: Place) -> Checked {
        exprs.iter().try_for_each(|expr| self.expression(expr, place))
    }

    fn name(&mut self, name: &'a ExprName) -> Checked {
        let name = name.id.as_str();
        // As a value, these would do their work where it cannot be seen from here.
        let hides = LAZY.contains(&name) || matches!(name, "set" | "frozenset" | "print" | "round");
        if self.bindings.is_builtin(name) && (hides || !names::is_shared_builtin(name)) {
            return differs(format!("the builtin `{name}` here"));
        }
        if self.modules.contains_key(name) {
            return differs(format!("the module `{name}` as a value"));
        }
        self.floats |= name == "float";
        Ok(())
    }

    /// Notes what a module's member may give.
    pub fn member(&mut self, member: &str) {
        self.floats |= names::makes_floats(member);
        if names::makes_large_integers(member) {
            self.wrong_for_floats = Some(LARGE_INTEGER);
        }
    }

    /// An attribute of a value that stands in `place`.
    pub fn attribute(&mut self, attribute: &'a ExprAttribute, place: Place) -> Checked {
        let member = attribute.attr.as_str();
        if let Expr::Name(module) = &*attribute.value
            && let Some(&members) = self.modules.get(module.id.as_str())
        {
            self.member(member);
            return match names::is_shared_member(members, member) {
                true => Ok(()),
                false => differs(format!("`{}.{member}`", module.id)),
            };
        }
        if !names::is_shared_attribute(member) {
            return differs(format!("the attribute `{member}`"));
        }
        self.expression(&attribute.value, place)
    }

    fn comparison(&mut self, compare: &'a ExprCompare) -> Checked {
        let right_place = |op: &CmpOp| match op {
            CmpOp::In | CmpOp::NotIn => Place::Searched,
            _ => Place::Asked,
        };
        let is_constant = |expr: &Expr| {
            matches!(expr, Expr::NoneLiteral(_) | Expr::BooleanLiteral(_) | Expr::EllipsisLiteral(_))
        };
        let mut left = &*compare.left;
        self.expression(left, Place::Asked)?;
        for (op, right) in compare.ops.iter().zip(&compare.comparators) {
            if matches!(op, CmpOp::Is | CmpOp::IsNot) && !is_constant(left) && !is_constant(right) {
                return differs("`is` between values, whose identity depends on the interpreter");
            }
            self.expression(right, right_place(op))?;
            left = right;
        }
        Ok(())
    }

    fn comprehension(
        &mut self,
        generators: &'a [Comprehension],
        place: Place,
        elements: &[&'a Expr],
    ) -> Checked {
        self.refuse_in_class_body("a comprehension")?;
        // The order of the elements matters only where that of the whole does.
        let iterated = if matches!(place, Place::TakenInAnyOrder | Place::Searched) {
            Place::Searched
        } else {
            Place::Looped
        };
        self.in_comprehension += 1;
        for generator in generators {
            if generator.is_async {
                return differs("`async`");
            }
            self.target(&generator.target)?;
            self.expression(&generator.iter, iterated)?;
            self.each_ref(generator.ifs.iter(), Place::Asked)?;
        }
        self.each_ref(elements.iter().copied(), Place::Anywhere)?;
        self.in_comprehension -= 1;
        Ok(())
    }

    fn each_ref(&mut self, exprs: impl Iterator<Item = &'a Expr>, place: Place) -> Checked {
        for expr in exprs {
            self.expression(expr, place)?;
        }
        Ok(())
    }

    fn interpolations(&mut self, elements: impl Iterator<Item = &'a InterpolatedStringElement>) -> Checked {
        for element in elements {
            if let InterpolatedStringElement::Interpolation(element) = element {
                self.expression(&element.expression, Place::Anywhere)?;
                if let Some(spec) = &element.format_spec {
                    self.interpolations(spec.elements.iter())?;
                }
            }
        }
        Ok(())
    }

    /// Notes where `operator` makes floats, or gets them wrong.
    pub fn operator(&mut self, operator: Operator, right: &Expr) {
        match operator {
            Operator::Div => self.floats = true,
            Operator::FloorDiv => self.wrong_for_floats = Some("`//`"),
            Operator::LShift => self.wrong_for_floats = Some("`<<`"),
            Operator::Pow => {
                let exponent = right.as_number_literal_expr().map(|literal| &literal.value);
                let squares = match exponent {
                    Some(Number::Int(int)) => int.as_u64().is_some_and(|int| int <= 2),
                    _ => false,
                };
                if !squares {
                    self.wrong_for_floats = Some("`**`");
                }
            }
            _ => {}
        }
    }
}
