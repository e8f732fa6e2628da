// Package router renders the configuration of HAProxy before a pair. HAProxy asks the members'
// agents who is the primary, leads clients there, and cuts the sessions of a member that is not.
//
// It decides nothing about roles: what an agent does not affirm is not led to. It reads nothing and
// runs nothing.
package router
